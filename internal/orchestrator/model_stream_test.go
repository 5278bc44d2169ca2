package orchestrator

import (
	"slices"
	"strconv"
	"strings"
)

// entry is one entry of a modelled stream.
type entry[T any] struct {
	seq   int64
	value T
}

// held says who was given an entry, when, and how often.
type held struct {
	consumer string
	at       int64
	times    int64
}

// stream is a Redis stream with one consumer group that began at 0.
type stream[T any] struct {
	m       *model
	seq     int64
	entries []entry[T]
	pel     map[int64]*held
	read    int64 // the newest entry that was ever delivered
}

func newStream[T any](m *model) *stream[T] { return &stream[T]{m: m, pel: map[int64]*held{}} }

func idOf(seq int64) string { return strconv.FormatInt(seq, 10) + "-0" }

func seqOf(id string) int64 {
	n, err := strconv.ParseInt(strings.TrimSuffix(id, "-0"), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func (s *stream[T]) add(v T) string {
	s.seq++
	s.entries = append(s.entries, entry[T]{s.seq, v})
	return idOf(s.seq)
}

// news reports whether a read would return something.
func (s *stream[T]) news() bool {
	return len(s.entries) > 0 && s.entries[len(s.entries)-1].seq > s.read
}

// take delivers new entries to a consumer.
func (s *stream[T]) take(consumer string, count int) []entry[T] {
	var out []entry[T]
	for _, e := range s.entries {
		if e.seq <= s.read || len(out) == count {
			continue
		}
		s.pel[e.seq] = &held{consumer: consumer, at: s.m.redisNow(), times: 1}
		out = append(out, e)
	}
	if len(out) > 0 {
		s.read = out[len(out)-1].seq
	}
	return out
}

// silent returns entries whose consumer was not heard of for idle ms.
func (s *stream[T]) silent(idle int64, count int) []int64 {
	var out []int64
	for _, seq := range s.pelOrder() {
		if s.m.redisNow()-s.pel[seq].at >= idle && len(out) < count {
			out = append(out, seq)
		}
	}
	return out
}

func (s *stream[T]) pelOrder() []int64 {
	out := make([]int64, 0, len(s.pel))
	for seq := range s.pel {
		out = append(out, seq)
	}
	slices.Sort(out)
	return out
}

// claim gives silent entries to another consumer. An entry that was deleted
// leaves the group's list, as in Redis 7.
func (s *stream[T]) claim(consumer string, idle int64, count int) ([]entry[T], []int64) {
	var out []entry[T]
	var times []int64
	for _, seq := range s.silent(idle, count) {
		e, there := s.get(seq)
		if !there {
			delete(s.pel, seq)
			continue
		}
		h := s.pel[seq]
		h.consumer, h.at, h.times = consumer, s.m.redisNow(), h.times+1
		out, times = append(out, e), append(times, h.times)
	}
	return out, times
}

// beat is XCLAIM JUSTID by ids: what is still there becomes the consumer's.
func (s *stream[T]) beat(consumer string, ids []string) []string {
	var out []string
	for _, id := range ids {
		seq := seqOf(id)
		h := s.pel[seq]
		if h == nil {
			continue
		}
		if _, there := s.get(seq); !there {
			delete(s.pel, seq)
			continue
		}
		h.consumer, h.at = consumer, s.m.redisNow()
		out = append(out, id)
	}
	return out
}

// own returns what a consumer was given and has not done with.
func (s *stream[T]) own(consumer string) []entry[T] {
	var out []entry[T]
	for _, seq := range s.pelOrder() {
		if e, there := s.get(seq); there && s.pel[seq].consumer == consumer {
			out = append(out, e)
		}
	}
	return out
}

func (s *stream[T]) get(seq int64) (entry[T], bool) {
	at, there := slices.BinarySearchFunc(s.entries, seq, func(e entry[T], seq int64) int { return int(e.seq - seq) })
	if !there {
		return entry[T]{}, false
	}
	return s.entries[at], true
}

// remove acknowledges and deletes.
func (s *stream[T]) remove(ids ...string) {
	for _, id := range ids {
		delete(s.pel, seqOf(id))
	}
	s.vanish(ids...)
}

// vanish deletes without acknowledging.
func (s *stream[T]) vanish(ids ...string) {
	s.entries = slices.DeleteFunc(s.entries, func(e entry[T]) bool { return slices.Contains(ids, idOf(e.seq)) })
}
