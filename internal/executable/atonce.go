package executable

import (
	"context"
	"syscall"
)

type atOnceKey struct{}

// WithAtOnce returns a context whose programs are killed when hurry ends, and
// not asked before: nobody waits for them any longer.
func WithAtOnce(ctx, hurry context.Context) context.Context {
	return context.WithValue(ctx, atOnceKey{}, hurry.Done())
}

// hurried kills the process group of a program when there is no time left.
func hurried(ctx context.Context, pid int) (stop func()) {
	hurry, _ := ctx.Value(atOnceKey{}).(<-chan struct{})
	if hurry == nil {
		return func() {}
	}
	ended := make(chan struct{})
	go func() {
		select {
		case <-hurry:
			_ = syscall.Kill(-pid, syscall.SIGKILL)
		case <-ended:
		}
	}()
	return func() { close(ended) }
}
