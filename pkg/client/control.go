package client

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/orchis-run/orchis/internal/wire"
)

// Control is an operator's wish. Which fields count depends on Op.
type Control struct {
	// Op is cancel, pause, resume, approve, reject or signal.
	Op string
	// Run is the run that is meant; with pause and resume it may be Queue or
	// Schedule, and with trigger it is Schedule.
	Run, Queue, Schedule string
	// Job is the path of the task that is meant: of an approval when more than
	// one waits, of a signal when it is for one task alone.
	Job string
	// By is who wishes it, Reason why; both stand in the run's log.
	By, Reason string
	// Signal names a signal. Data is what comes with it, or the inputs of an
	// approval.
	Signal string
	Data   any
}

// Do sends a wish and waits for its answer. A wish that cannot be granted gives
// a *RejectedError.
func (c *Client) Do(ctx context.Context, w Control) error {
	_, err := c.do(ctx, w)
	return err
}

// do is Do; it returns the run of the answer, too.
func (c *Client) do(ctx context.Context, w Control) (runID string, err error) {
	wish := wire.Control{Op: w.Op, Run: w.Run, Queue: w.Queue, Schedule: w.Schedule, Job: w.Job, By: w.By, Reason: w.Reason, Signal: w.Signal, Inbox: c.waits.inbox}
	if w.Data != nil {
		raw, err := json.Marshal(w.Data)
		if err != nil {
			return "", fmt.Errorf("write the data: %w", err)
		}
		wish.Data = raw
	}
	entry, err := c.store.SendControl(ctx, wish)
	if err != nil {
		return "", err
	}
	o, err := c.waits.wait(ctx, subject{controlAnswer, entry}, ofOwn)
	if err != nil {
		return "", fmt.Errorf("wait for an orchestrator to answer control request %s: %w", entry, err)
	}
	return runOf(o.answer)
}

// Pause lets a run start nothing more until Resume. What is with the workers
// goes on.
func (c *Client) Pause(ctx context.Context, runID, by, reason string) error {
	return c.Do(ctx, Control{Op: "pause", Run: runID, By: by, Reason: reason})
}

// Resume undoes Pause.
func (c *Client) Resume(ctx context.Context, runID, by, reason string) error {
	return c.Do(ctx, Control{Op: "resume", Run: runID, By: by, Reason: reason})
}

// PauseQueue lets workers take nothing more from a queue until ResumeQueue.
func (c *Client) PauseQueue(ctx context.Context, queue, by, reason string) error {
	return c.Do(ctx, Control{Op: "pause", Queue: queue, By: by, Reason: reason})
}

// ResumeQueue undoes PauseQueue.
func (c *Client) ResumeQueue(ctx context.Context, queue, by, reason string) error {
	return c.Do(ctx, Control{Op: "resume", Queue: queue, By: by, Reason: reason})
}

// Approve says yes to an approval of a run; job may be empty when only one
// waits. The comment and the inputs become outputs of the job.
func (c *Client) Approve(ctx context.Context, runID, job, by, comment string, inputs map[string]any) error {
	return c.Do(ctx, Control{Op: "approve", Run: runID, Job: job, By: by, Reason: comment, Data: inputs})
}

// Reject says no to an approval of a run: the job fails with the code rejected.
func (c *Client) Reject(ctx context.Context, runID, job, by, comment string) error {
	return c.Do(ctx, Control{Op: "reject", Run: runID, Job: job, By: by, Reason: comment})
}

// Signal sends a signal to a run. A job that waits for it goes on with data as
// its result; else the run keeps it for one to come.
func (c *Client) Signal(ctx context.Context, runID, name string, data any, by string) error {
	return c.Do(ctx, Control{Op: "signal", Run: runID, Signal: name, Data: data, By: by})
}

// PausedQueue says who paused a queue, when and why.
type PausedQueue = wire.Paused

// PausedQueues returns the queues that are paused.
func (c *Client) PausedQueues(ctx context.Context) (map[string]PausedQueue, error) {
	return c.store.PausedQueues(ctx)
}

// Schedule is what is remembered of a schedule.
type Schedule = wire.Schedule

// Schedules returns the schedules that orchestrators have seen, by key.
func (c *Client) Schedules(ctx context.Context) (map[string]Schedule, error) {
	all, err := c.store.Schedules(ctx)
	if err != nil {
		return nil, err
	}
	paused, err := c.store.PausedSchedules(ctx)
	for key, s := range all {
		if p, is := paused[key]; is {
			s.Paused, s.Next = &p, 0
			all[key] = s
		}
	}
	return all, err
}

// PauseSchedule lets a schedule start nothing until ResumeSchedule; what is due
// in between is not made up for.
func (c *Client) PauseSchedule(ctx context.Context, key, by, reason string) error {
	return c.Do(ctx, Control{Op: "pause", Schedule: key, By: by, Reason: reason})
}

// ResumeSchedule undoes PauseSchedule.
func (c *Client) ResumeSchedule(ctx context.Context, key, by, reason string) error {
	return c.Do(ctx, Control{Op: "resume", Schedule: key, By: by, Reason: reason})
}

// TriggerSchedule starts a run of a schedule at once and returns its id.
func (c *Client) TriggerSchedule(ctx context.Context, key, by, reason string) (runID string, err error) {
	return c.do(ctx, Control{Op: "trigger", Schedule: key, By: by, Reason: reason})
}
