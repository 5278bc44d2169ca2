package progress

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/orchis-run/orchis/pkg/run"
)

// Plain writes one line for each job that starts, is retried or ends, for
// logs and pipes.
func Plain(w io.Writer, o Options) Printer {
	return &plain{out: w, options: o, model: newModel(o.Bundle), tenths: make(map[string]int)}
}

type plain struct {
	out     io.Writer
	options Options
	model   *model
	tenths  map[string]int // how far iterated jobs were when last shown
}

func (p *plain) Changes(now time.Time, changes []run.Change) error {
	for _, c := range changes {
		before := run.TaskPending
		if r := p.model.rows[c.Task]; r != nil {
			before = r.state
		}
		r := p.model.apply(c, now)
		var text string
		if r == nil {
			text = p.aboutRun(c)
		} else {
			text = p.aboutTask(r, c, before)
		}
		if text == "" {
			continue
		}
		at := fmt.Sprintf("[%6s]", Duration(p.model.since(p.model.created, c.At, now)))
		if p.options.Clock != nil {
			at = p.options.Clock(c.At)
		}
		if _, err := fmt.Fprintf(p.out, "%s %s\n", at, oneLine(text)); err != nil {
			return fmt.Errorf("write progress: %w", err)
		}
	}
	return nil
}

func (p *plain) Tick(time.Time) error { return nil }

func (p *plain) Aside(_ time.Time, text string) error {
	_, err := fmt.Fprintln(p.out, text)
	return err
}

func (p *plain) Close(time.Time) error { return nil }

func (p *plain) aboutRun(c run.Change) string {
	text := fmt.Sprintf("%s: run %s %s", p.options.Recipe, p.options.Run, c.Run)
	switch {
	case c.Op != "":
		return p.options.Recipe + ": " + wished(c.Op+", asked", c)
	case c.Run == "" && c.By != "":
		return strings.TrimSpace(fmt.Sprintf("%s: %s, asked by %s", p.options.Recipe, c.Reason, c.By))
	case c.Run == "":
		return ""
	case c.Run == run.Running && c.Error != nil:
		return fmt.Sprintf("%s: run %s is being stopped: %s", p.options.Recipe, p.options.Run, errorText(c.Error))
	case c.Run == run.Running && c.Reason != "": // a second cancel
		return fmt.Sprintf("%s: run %s: %s", p.options.Recipe, p.options.Run, c.Reason)
	case c.Run == run.Running && c.By != "":
		return text + " (submitted by " + c.By + ")"
	case c.Run.Final() && c.Error != nil:
		return text + ": " + errorText(c.Error)
	}
	return text
}

// aboutTask says what happened to a task, "" when it is not worth a line.
func (p *plain) aboutTask(r *row, c run.Change, before run.TaskState) string {
	if c.Task != r.path && c.State != run.TaskFailed && c.State != run.TaskRetrying {
		return p.aboutItems(r)
	}
	if c.Op != "" {
		return c.Task + " " + wished(c.Op, c)
	}
	if c.State == "" || c.State == run.TaskQueued || c.State == run.TaskRunning && before == run.TaskRunning {
		return ""
	}
	return c.Task + " " + taskText(c)
}

// wished says who did what, and why.
func wished(what string, c run.Change) string {
	if what += " by " + c.By; c.Reason != "" {
		what += ": " + c.Reason
	}
	return what
}

// aboutItems says how far an iterated job is, once for each tenth of it.
func (p *plain) aboutItems(r *row) string {
	if r.items == 0 || r.done == 0 || r.done >= r.items {
		return ""
	}
	tenth := r.done * 10 / r.items
	if tenth == p.tenths[r.path] {
		return ""
	}
	p.tenths[r.path] = tenth
	return fmt.Sprintf("%s %d of %s", r.path, r.done, plural(r.items, "item"))
}

// taskText says in words what a change of a task is.
func taskText(c run.Change) string {
	s := string(c.State)
	switch {
	case c.State == run.TaskRetrying:
		s += fmt.Sprintf(" after attempt %d", c.Attempt)
		if c.Due > c.At {
			s += " in " + Duration(time.Duration(c.Due-c.At)*time.Millisecond)
		}
	case c.State == run.TaskRunning && c.Attempt > 1:
		s += fmt.Sprintf(" attempt %d", c.Attempt)
	case c.State.Final() && c.Started > 0 && c.At >= c.Started:
		s += " in " + Duration(time.Duration(c.At-c.Started)*time.Millisecond)
	}
	if c.Wait != nil {
		s += " " + waitText(c.Wait, c.At)
	}
	if c.Items > 0 {
		s += ", " + plural(c.Items, "item")
	}
	if c.Worker != "" {
		s += " on " + c.Worker
	}
	if c.Error != nil {
		s += ": " + errorText(c.Error)
	} else if c.Reason != "" {
		s += ": " + c.Reason
	}
	return s
}

// waitText says what a task waits for.
func waitText(w *run.Wait, now int64) string {
	s := "for " + w.Kind
	if w.Key != "" {
		s += " " + w.Key
	}
	if w.Message != "" {
		s += ": " + w.Message
	}
	if len(w.By) > 0 {
		s += " (by " + strings.Join(w.By, ", ") + ")"
	}
	if w.Due > now {
		s += ", at most " + Duration(time.Duration(w.Due-now)*time.Millisecond)
	}
	return s
}

// errorText writes an error with its code, when that says something.
func errorText(e *run.Error) string {
	s := e.Message
	if e.Code != "" && e.Code != run.CodeError {
		s += " (" + e.Code + ")"
	}
	if e.Task != "" {
		s += " in " + e.Task
	}
	return s
}
