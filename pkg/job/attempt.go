package job

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
	"unicode/utf8"
)

// Attempt tells a handler which try at which task this is.
type Attempt struct {
	Run, Task, Recipe, Handler, Worker, Queue string
	// Number counts the attempts of the task from 1.
	Number int
	// Fence names this publication of the attempt, and no other.
	Fence string
	// IdempotencyKey is the same for all attempts at the task: give it to
	// services that must not do things twice.
	IdempotencyKey string
	// Trace is the W3C traceparent of the attempt, or empty: what the handler
	// calls belongs there.
	Trace string
	// Deadline is when the attempt times out; zero without a timeout.
	Deadline time.Time
	// Env is the job's env, Dir a working directory of the attempt's own,
	// which is removed afterwards.
	Env map[string]string
	Dir string
}

// Reporter takes what a handler says while it works. One that hides secrets
// also has a method Begun(text []byte) int: how many bytes at the end of a text
// may be the beginning of one, so that no line is cut there. One that has a
// working directory for who asks has a method Dir() string.
type Reporter interface {
	Progress(percent float64, note string)
	Log(source, text string)
}

type contextKey struct{}

type contextValue struct {
	attempt  Attempt
	reporter Reporter
}

// NewContext returns the context that a handler gets: for workers and tests.
func NewContext(ctx context.Context, a Attempt, r Reporter) context.Context {
	return context.WithValue(ctx, contextKey{}, contextValue{a, r})
}

// Info returns which attempt the context belongs to.
func Info(ctx context.Context) Attempt {
	v, _ := ctx.Value(contextKey{}).(contextValue)
	if d, has := v.reporter.(interface{ Dir() string }); has && v.attempt.Dir == "" {
		v.attempt.Dir = d.Dir()
	}
	return v.attempt
}

// Progress reports how far the work is, from 0 to 100, with a short note.
func Progress(ctx context.Context, percent float64, note string) {
	if v, _ := ctx.Value(contextKey{}).(contextValue); v.reporter != nil {
		v.reporter.Progress(min(max(percent, 0), 100), note)
	}
}

// Logf writes a line to the task's log.
func Logf(ctx context.Context, format string, args ...any) {
	if v, _ := ctx.Value(contextKey{}).(contextValue); v.reporter != nil {
		v.reporter.Log("log", fmt.Sprintf(format, args...))
	}
}

// LogWriter returns a writer whose lines go to the task's log; source is
// stdout, stderr or log. Close it to write the last, unfinished line.
func LogWriter(ctx context.Context, source string) io.WriteCloser {
	v, _ := ctx.Value(contextKey{}).(contextValue)
	return &lineWriter{to: v.reporter, source: source}
}

const maxLine = 16 << 10

type lineWriter struct {
	mu     sync.Mutex
	to     Reporter
	source string
	rest   []byte
}

// Write passes full lines on; lines longer than 16 KiB are cut into pieces.
func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rest = append(w.rest, p...)
	done := 0
	for {
		rest := w.rest[done:]
		end := bytes.IndexByte(rest, '\n')
		skip := 1
		if end < 0 || end > maxLine {
			skip = 0
			if end = w.cut(rest); end == 0 {
				break
			}
		}
		w.put(rest[:end])
		done += end + skip
	}
	w.rest = append(w.rest[:0], w.rest[done:]...)
	return len(p), nil
}

// cut returns where a line that is too long may be cut: neither inside a
// letter nor inside something that the reporter has to hide. It is 0 when more
// of the line must come first.
func (w *lineWriter) cut(line []byte) int {
	hides, ok := w.to.(interface{ Begun(text []byte) int })
	for size := maxLine; size <= len(line); size *= 2 {
		end := size
		for end > size-utf8.UTFMax && end < len(line) && !utf8.RuneStart(line[end]) {
			end--
		}
		if ok {
			end -= hides.Begun(line[:end]) // mutant: secret-across-lines (skip)
		}
		if end > 0 {
			return end
		}
	}
	return 0
}

func (w *lineWriter) put(line []byte) {
	if w.to != nil {
		w.to.Log(w.source, string(bytes.ToValidUTF8(bytes.TrimRight(line, "\r"), []byte("\ufffd"))))
	}
}

// Close writes what is left.
func (w *lineWriter) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.rest) > 0 {
		w.put(w.rest)
		w.rest = nil
	}
	return nil
}

// failure is an error with what a worker should make of it.
type failure struct {
	err        error
	code       string
	permanent  bool
	retryAfter time.Duration
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// Permanent marks an error that trying again cannot help.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &failure{err: err, permanent: true}
}

// RetryAfter marks an error after which the next attempt should wait for d.
func RetryAfter(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return &failure{err: err, retryAfter: d}
}

// Code gives an error a short word that retry rules and conditions can match.
func Code(err error, code string) error {
	if err == nil {
		return nil
	}
	return &failure{err: err, code: code}
}

// Failure is what a worker reports of an error.
type Failure struct {
	Code, Message string
	Permanent     bool
	RetryAfter    time.Duration
}

// Classify reads what Permanent, RetryAfter and Code said of an error; the
// outermost mark counts.
func Classify(err error) Failure {
	out := Failure{Message: err.Error()}
	for e := err; e != nil; e = errors.Unwrap(e) {
		f, ok := e.(*failure) //nolint:errorlint // each link of the chain is looked at
		if !ok {
			continue
		}
		if out.Code == "" {
			out.Code = f.code
		}
		if out.RetryAfter == 0 {
			out.RetryAfter = f.retryAfter
		}
		out.Permanent = out.Permanent || f.permanent
	}
	if out.Code == "" {
		out.Code = "error"
		if errors.Is(err, context.DeadlineExceeded) {
			out.Code = "timeout"
		}
	}
	return out
}
