package worker

import (
	"slices"

	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/internal/wire"
)

// weightOf is the share of a lane in the claims: while all lanes hold tickets,
// 16 of 21 claims are from the high lane, 4 from the normal one and 1 from the
// low one. An empty lane leaves its share to the others.
func weightOf(p wire.Priority) int {
	switch p {
	case wire.High:
		return 16
	case wire.Low:
		return 1
	}
	return 4
}

// source is a stream that a claimer reads.
type source struct {
	stream wire.Stream
	// warm says that the stream may hold tickets: the last claim got all that it
	// had asked for, or a look found some. Invariant: a source is in the warm list
	// of its lane if and only if it is warm.
	warm bool
	asks int // while a plan is made
}

// lane holds the sources of one priority.
type lane struct {
	weight int
	credit int // grows by the weight, and shrinks when the lane is chosen
	warm   []*source
	next   int // in warm, for the round robin
}

// lanes choose the streams that tickets are claimed from. Lanes take turns by
// their weights (smooth weighted round robin), and so do the streams of a lane,
// by equal shares. Not safe for concurrent use.
type lanes struct {
	all   []*source
	of    map[wire.Stream]*source
	lanes map[wire.Priority]*lane
	look  int // in all, where the next look begins
}

func newLanes() *lanes {
	l := &lanes{of: map[wire.Stream]*source{}, lanes: map[wire.Priority]*lane{}}
	for _, p := range wire.Lanes() {
		l.lanes[p] = &lane{weight: weightOf(p)}
	}
	return l
}

// serve replaces the streams and keeps what is known of those that stay.
func (l *lanes) serve(streams []wire.Stream) {
	before := l.of
	l.all, l.of, l.look = nil, make(map[wire.Stream]*source, len(streams)), 0
	for _, lane := range l.lanes {
		lane.warm = nil
	}
	for _, stream := range streams {
		s := &source{stream: stream}
		l.all, l.of[stream] = append(l.all, s), s
		if old := before[stream]; old != nil && old.warm {
			l.set(s, true)
		}
	}
}

// set notes whether a source may hold tickets.
func (l *lanes) set(s *source, warm bool) {
	if s.warm == warm {
		return
	}
	s.warm = warm
	lane := l.lanes[s.stream.Priority]
	if warm {
		lane.warm = append(lane.warm, s)
		return
	}
	at := slices.Index(lane.warm, s)
	lane.warm = slices.Delete(lane.warm, at, at+1)
	if lane.next > at {
		lane.next--
	}
}

// anyWarm reports whether some stream may hold tickets.
func (l *lanes) anyWarm() bool {
	for _, lane := range l.lanes {
		if len(lane.warm) > 0 {
			return true
		}
	}
	return false
}

// plan divides n claims among the warm streams. The counts add up to n, or to
// nothing when no stream is warm.
func (l *lanes) plan(n int) []redisstore.Take {
	var asked []*source
	for range n {
		s := l.pick()
		if s == nil {
			return nil
		}
		if s.asks == 0 {
			asked = append(asked, s)
		}
		s.asks++
	}
	takes := make([]redisstore.Take, len(asked))
	for i, s := range asked {
		takes[i] = redisstore.Take{Stream: s.stream, Count: s.asks}
		s.asks = 0
	}
	return takes
}

// pick returns the source of the next claim; nil when no stream is warm.
func (l *lanes) pick() *source {
	var best *lane
	total := 0
	for _, p := range wire.Lanes() {
		lane := l.lanes[p]
		if len(lane.warm) == 0 {
			lane.credit = 0
			continue
		}
		lane.credit += lane.weight
		total += lane.weight
		if best == nil || lane.credit > best.credit {
			best = lane
		}
	}
	if best == nil {
		return nil
	}
	best.credit -= total
	best.next %= len(best.warm)
	s := best.warm[best.next]
	best.next++
	return s
}

// learn notes what a claim brought: a stream that gave less than it was asked
// for is empty.
func (l *lanes) learn(takes []redisstore.Take, got map[wire.Stream]int) {
	for _, take := range takes {
		if s := l.of[take.Stream]; s != nil { // it may be served no more
			l.set(s, got[take.Stream] >= take.Count)
		}
	}
}

// heat notes that streams hold tickets.
func (l *lanes) heat(streams []wire.Stream) {
	for _, stream := range streams {
		if s := l.of[stream]; s != nil {
			l.set(s, true)
		}
	}
}

// cold returns up to n streams that are not known to hold tickets, others each
// time.
func (l *lanes) cold(n int) []wire.Stream {
	var out []wire.Stream
	for range l.all {
		if len(out) == n {
			break
		}
		l.look %= len(l.all)
		if s := l.all[l.look]; !s.warm {
			out = append(out, s.stream)
		}
		l.look++
	}
	return out
}
