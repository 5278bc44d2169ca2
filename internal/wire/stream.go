package wire

import (
	"fmt"
	"net/url"
	"strings"
)

// Stream names a stream of tickets within a partition: the lane of a queue that
// every worker of the queue reads, or, with a Handler, the lane that only the
// workers with this handler read. The zero Priority is Normal.
//
// String, Route, ParseStream and ParseRoute are the only code that knows how the
// name of a stream is written.
type Stream struct {
	Queue string
	// Handler is empty for the common stream of the queue.
	Handler  string
	Priority Priority
}

// streamPrefix begins the names of all ticket streams.
const streamPrefix = "tickets:"

// String is the stream's name: its key without the prefix and the partition. It
// is tickets:<queue>, then @<handler> when the stream is for one handler, then
// :high or :low unless the lane is normal.
func (s Stream) String() string {
	name := streamPrefix + s.Route()
	if s.Priority == Normal || s.Priority == "" {
		return name
	}
	return name + ":" + string(s.Priority)
}

// Route is the stream's name without its lane: <queue>, or <queue>@<handler>.
// The set of a partition's queues has such members.
func (s Stream) Route() string {
	if s.Handler == "" {
		return s.Queue
	}
	return s.Queue + "@" + escape(s.Handler)
}

// Lanes are the streams of the same queue and handler, the most urgent first.
func (s Stream) Lanes() []Stream {
	all := make([]Stream, 0, len(Lanes()))
	for _, p := range Lanes() {
		all = append(all, Stream{Queue: s.Queue, Handler: s.Handler, Priority: p})
	}
	return all
}

// LanesOf are the lanes of the common streams of queues.
func LanesOf(queues ...string) []Stream {
	var all []Stream
	for _, q := range queues {
		all = append(all, Stream{Queue: q}.Lanes()...)
	}
	return all
}

// ParseStream parses what String wrote.
func ParseStream(name string) (Stream, error) {
	rest, ok := strings.CutPrefix(name, streamPrefix)
	if !ok {
		return Stream{}, fmt.Errorf("%w: %q is not the name of a ticket stream", ErrMalformed, name)
	}
	route, lane, _ := strings.Cut(rest, ":")
	s, err := ParseRoute(route)
	if err != nil {
		return Stream{}, err
	}
	switch s.Priority = Priority(lane); s.Priority {
	case "":
		s.Priority = Normal
	case High, Low:
	default:
		return Stream{}, fmt.Errorf("%w: stream %q has the unknown lane %q", ErrMalformed, name, lane)
	}
	return s, nil
}

// ParseRoute parses what Route wrote, as the normal lane.
func ParseRoute(route string) (Stream, error) {
	queue, escaped, routed := strings.Cut(route, "@")
	handler, err := url.PathUnescape(escaped)
	if queue == "" || err != nil || routed && handler == "" {
		return Stream{}, fmt.Errorf("%w: %q names no queue and handler", ErrMalformed, route)
	}
	return Stream{Queue: queue, Handler: handler, Priority: Normal}, nil
}

// CheckQueue reports why a text cannot be the name of a queue.
func CheckQueue(name string) error {
	for i := range len(name) {
		c := name[i]
		letter := c == '_' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
		if !letter && (i == 0 || c != '-' && (c < '0' || c > '9')) {
			return fmt.Errorf("queue %q: a name holds letters, digits, - and _, and begins with a letter or _", name)
		}
	}
	if name == "" || len(name) > 64 {
		return fmt.Errorf("queue %q: a name has 1 to 64 letters", name)
	}
	return nil
}

// escape writes a handler's name so that it cannot be taken for another part of
// a key: bytes of ASCII other than letters, digits, _ . and - become % and two
// hexadecimal digits.
func escape(handler string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(handler) {
		c := handler[i]
		switch {
		case c >= 0x80, c >= '0' && c <= '9', c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c == '_', c == '.', c == '-':
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}
