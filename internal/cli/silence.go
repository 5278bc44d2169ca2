package cli

import (
	"context"
	"time"

	"github.com/orchis-run/orchis/pkg/client"
)

// silentAfter is how long a command waits for an answer before it says that no
// orchestrator is answering.
const silentAfter = 2 * time.Second

// remark starts a timer that prints a line when an answer takes long: whether an
// orchestrator is running, and what to do if none is. A command prints it once.
// what names the thing that waits for an orchestrator. The returned function
// stops the timer, and waits for the line if it is being printed.
func (a *app) remark(ctx context.Context, c *client.Client, what string) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		late := time.NewTimer(silentAfter)
		defer late.Stop()
		select {
		case <-late.C:
			a.silent.Do(func() { a.tell("%s\n", a.silence(ctx, c, what)) })
		case <-ctx.Done():
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// silence says why an answer may be late.
func (a *app) silence(ctx context.Context, c *client.Client, what string) string {
	all, err := c.Orchestrators(ctx)
	if err != nil {
		return "no orchestrator has answered yet; " + what + " is queued (the list of orchestrators cannot be read: " + err.Error() + ")"
	}
	if len(all) == 0 {
		return "no orchestrator is answering (none has ever been seen in this Redis); " + what + ` is queued: start one with "orchestrator"`
	}
	last := all[0]
	for _, o := range all {
		if o.Alive {
			return "no orchestrator has answered yet, although " + o.Name + " is running; " + what + " is queued"
		}
		if o.Seen.After(last.Seen) {
			last = o
		}
	}
	return "no orchestrator is answering (none seen since " + a.at(last.Seen.UnixMilli()).Format("2006-01-02 15:04:05 MST") + "); " + what + ` is queued: start one with "orchestrator"`
}
