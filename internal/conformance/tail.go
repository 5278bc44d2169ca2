package conformance

import (
	"bytes"
	"io"
	"sync"
)

// tailSize is how much of a worker's output is kept for messages.
const tailSize = 4 << 10

// tail passes on what is written, and keeps the end of it.
type tail struct {
	to io.Writer
	mu sync.Mutex
	at []byte
}

// Write keeps and passes on.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.at = append(t.at, p...)
	if over := len(t.at) - tailSize; over > 0 {
		t.at = append([]byte(nil), t.at[over:]...)
	}
	return t.to.Write(p)
}

// last returns the last line, for a message.
func (t *tail) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := bytes.Split(bytes.TrimSpace(t.at), []byte("\n"))
	if line := lines[len(lines)-1]; len(line) > 0 {
		return "; its last line is: " + string(line)
	}
	return ""
}
