package flowtest

import (
	"cmp"
	"container/heap"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orchis-run/orchis/internal/engine"
	"github.com/orchis-run/orchis/internal/event"
	"github.com/orchis-run/orchis/internal/expr"
	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/job"
	"github.com/orchis-run/orchis/pkg/run"
)

// What keeps a case from running for ever.
const (
	maxSteps   = 200_000
	maxVirtual = 10 * 365 * 24 * time.Hour
)

// begun is when all cases begin: a Monday.
var begun = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// played is a run on a clock of its own.
type played struct {
	c          *flow.TestCase
	run        *engine.Run
	real       *job.Registry
	ctx        context.Context //nolint:containedctx // it lives as long as one call of play
	now        int64
	seq        int
	queue      agenda
	timers     map[string]int // kind|task|fence -> number of the event that counts
	begin      map[string]int // task -> when it began, by number
	tasks      map[string]run.Task
	outputs    map[string]json.RawMessage
	transcript strings.Builder
}

// planned is something that will happen.
type planned struct {
	at    int64
	seq   int
	timer string
	ev    engine.Event
}

type agenda []planned

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(a[i].at, a[j].at), cmp.Compare(a[i].seq, a[j].seq)) < 0
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any) {
	if p, ok := x.(planned); ok {
		*a = append(*a, p)
	}
}

func (a *agenda) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

// play runs a case to its end.
func play(ctx context.Context, b *flow.Bundle, c *flow.TestCase, handlers *job.Registry) (*played, error) {
	inputs, problems := b.RootFlow().ResolveInputs(c.Inputs, begun)
	if len(problems) > 0 {
		return nil, problems[0]
	}
	program, err := engine.Compile(&flow.Bundle{Root: b.Root, Flows: b.Flows, Env: c.Env}, engine.Limits{})
	if err != nil {
		return nil, err
	}
	p := &played{
		c: c, ctx: ctx, real: handlers, now: begun.UnixMilli(), timers: map[string]int{}, begin: map[string]int{},
		tasks: map[string]run.Task{}, outputs: map[string]json.RawMessage{},
	}
	p.run = engine.New(program, engine.Create{ID: "test", Digest: "test", Inputs: inputs, SubmittedBy: "test", Now: p.now})
	for _, e := range c.Events {
		if err := p.schedule(e); err != nil {
			return nil, err
		}
	}
	if err := p.step(engine.Event{Kind: event.Start}); err != nil {
		return p, err
	}
	for steps := 0; !p.run.Final(); steps++ {
		if len(p.queue) == 0 {
			return p, fmt.Errorf("the run does not end: it waits for %s", strings.Join(p.waits(), "; "))
		}
		next, _ := heap.Pop(&p.queue).(planned)
		if steps > maxSteps || next.at-begun.UnixMilli() > maxVirtual.Milliseconds() {
			return p, errors.New("the run does not end within ten years or 200,000 steps")
		}
		if next.timer != "" && p.timers[next.timer] != next.seq {
			continue // it was cleared, or set anew
		}
		p.now = max(p.now, next.at)
		if err := p.step(next.ev); err != nil {
			return p, err
		}
	}
	return p, nil
}

// schedule plans what somebody does.
func (p *played) schedule(e flow.TestEvent) error {
	ev := engine.Event{Kind: event.Kind(e.Do), Task: e.Job, By: e.By, Reason: e.Reason, Signal: e.Signal, Reply: e.Do}
	if e.Data != nil {
		raw, err := expr.Encode(e.Data)
		if err != nil {
			return err
		}
		ev.Data = raw
	}
	p.plan(begun.UnixMilli()+e.At.Milliseconds(), "", ev)
	return nil
}

func (p *played) plan(at int64, timer string, ev engine.Event) {
	p.seq++
	if timer != "" {
		p.timers[timer] = p.seq
	}
	heap.Push(&p.queue, planned{at: at, seq: p.seq, timer: timer, ev: ev})
}

// step has something happen, and does what follows.
func (p *played) step(ev engine.Event) error {
	for more := true; more; ev = (engine.Event{Kind: event.Continue}) {
		p.seq++
		fx := p.run.Step(p.now, uint64(p.seq), ev)
		if fx.Fault != nil {
			return fx.Fault
		}
		p.note(&fx)
		for _, r := range fx.Replies {
			if r.Error != "" {
				return fmt.Errorf("after %s: %s is refused: %s", p.elapsed(), r.ID, r.Error)
			}
		}
		for _, t := range fx.ClearTimers {
			delete(p.timers, t.Kind+"|"+t.Task+"|"+t.Fence)
		}
		for _, t := range fx.SetTimers {
			p.plan(t.Due, t.Kind+"|"+t.Task+"|"+t.Fence, engine.Event{Kind: event.TimerFired, Timer: t.Kind, Task: t.Task, Fence: t.Fence})
		}
		for _, a := range fx.Queries {
			// A case is alone: groups have slots, buckets tokens, caches nothing.
			p.plan(p.now, "", engine.Event{Kind: event.Answered, Task: a.Task, Fence: a.Query, Granted: a.Kind != run.WaitCache})
		}
		for i := range fx.Tickets {
			if err := p.attempt(&fx.Tickets[i]); err != nil {
				return err
			}
		}
		more = fx.More
	}
	return nil
}

func (p *played) elapsed() time.Duration {
	return time.Duration(p.now-begun.UnixMilli()) * time.Millisecond
}

// note keeps what a step changed.
func (p *played) note(fx *engine.Effects) {
	for _, path := range fx.Forget {
		delete(p.tasks, path)
		delete(p.outputs, path)
	}
	for i := range fx.Tasks {
		p.tasks[fx.Tasks[i].ID] = fx.Tasks[i]
	}
	for _, o := range fx.Outputs {
		p.outputs[o.Task] = o.Value
	}
	for i := range fx.Log {
		c := &fx.Log[i]
		if _, there := p.begin[c.Task]; !there && c.Task != "" && (c.State.InFlight() || c.State.HasResult() || c.State == run.TaskWaiting || c.State == run.TaskFailed) {
			p.begin[c.Task] = len(p.begin)
		}
		what := cmp.Or(string(c.State), string(c.Run), c.Op)
		line := fmt.Sprintf("%10s  %s %s", p.elapsed(), cmp.Or(c.Task, "run"), what)
		if c.Error != nil {
			line += ": " + c.Error.Error()
		}
		if c.Reason != "" {
			line += " (" + c.Reason + ")"
		}
		p.transcript.WriteString(line + "\n")
	}
}

// attempt plans how an attempt ends.
func (p *played) attempt(t *engine.Ticket) error {
	end := engine.Event{Task: t.Task, Fence: t.Fence, Worker: "test", Started: p.now}
	var takes time.Duration
	fake, faked := p.fakeOf(t)
	switch {
	case faked && fake.Lost:
		end.Kind = event.Lost
	case faked && fake.Fails:
		end.Kind, end.Permanent = event.Failed, fake.Permanent
		end.Error = &run.Error{Code: fake.Code, Message: fake.Message}
	case faked:
		if err := p.fakeResult(t, fake, &end); err != nil {
			return err
		}
	default:
		var err error
		if takes, err = p.realResult(t, &end); err != nil {
			return err
		}
	}
	if faked {
		takes = fake.Takes
	}
	if limit := time.Duration(t.TimeoutMs) * time.Millisecond; limit > 0 && takes > limit {
		takes = limit
		end.Kind, end.Result = event.Failed, nil
		end.Error = &run.Error{Code: run.CodeTimeout, Message: fmt.Sprintf("the attempt took longer than its timeout of %s", limit)}
	}
	p.plan(p.now+takes.Milliseconds(), "", end)
	return nil
}

// fakeOf is the fake of an attempt: that of its task, of its job when it is an
// item, or of its handler.
func (p *played) fakeOf(t *engine.Ticket) (flow.Fake, bool) {
	names := []string{t.Task}
	if at := strings.LastIndexByte(t.Task, '['); at > strings.LastIndexByte(t.Task, '/') && at > 0 {
		names = append(names, t.Task[:at])
	}
	for _, name := range append(names, t.Handler) {
		if list := p.c.Fakes[name]; len(list) > 0 {
			return list[min(t.Attempt, len(list))-1], true
		}
	}
	return flow.Fake{}, false
}

func (p *played) fakeResult(t *engine.Ticket, fake flow.Fake, end *engine.Event) error {
	end.Kind, end.Result = event.Succeeded, []byte("null")
	if fake.Return == nil {
		return nil
	}
	in, err := expr.Decode(t.Inputs)
	if err != nil {
		return err
	}
	m, _ := in.(map[string]any)
	v, err := fake.Return.Eval(scope{m, p.now})
	if err != nil {
		return fmt.Errorf("the fake of %s: %w", t.Task, err)
	}
	end.Result, err = expr.Encode(v)
	return err
}

// realResult does what a built-in handler does; others must be real by wish.
func (p *played) realResult(t *engine.Ticket, end *engine.Event) (time.Duration, error) {
	end.Kind = event.Succeeded
	switch {
	case slices.Contains(p.c.Real, t.Handler) && p.real != nil:
		h, ok := p.real.Lookup(t.Handler)
		if !ok {
			return 0, fmt.Errorf("job %s: there is no handler %q that could be real", t.Task, t.Handler)
		}
		raw, err := h.Run(p.ctx, t.Inputs)
		if err != nil {
			f := job.Classify(err)
			end.Kind, end.Error, end.Permanent = event.Failed, &run.Error{Code: f.Code, Message: f.Message}, f.Permanent
		}
		end.Result = raw
		return 0, nil
	case t.Handler == "debug":
		end.Result = t.Inputs
		return 0, nil
	case t.Handler == "sleep":
		var in struct{ Duration any }
		if err := json.Unmarshal(t.Inputs, &in); err != nil {
			return 0, err
		}
		end.Result = []byte("{}")
		return flow.ParseDelay(in.Duration)
	case t.Handler == "fail":
		return 0, failing(t, end)
	}
	return 0, fmt.Errorf("job %s: the case has no fake for the handler %q, and does not say that it is real", t.Task, t.Handler)
}

// failing is the handler fail.
func failing(t *engine.Ticket, end *engine.Event) error {
	in := struct {
		Code, Message string
		Permanent     bool
		Times         int
	}{Code: run.CodeError, Message: "failed on purpose"}
	if err := json.Unmarshal(t.Inputs, &in); err != nil {
		return err
	}
	end.Result = []byte("{}")
	if in.Times == 0 || t.Attempt <= in.Times {
		end.Kind, end.Error, end.Permanent = event.Failed, &run.Error{Code: in.Code, Message: in.Message}, in.Permanent
	}
	return nil
}

func (p *played) waits() []string {
	var out []string
	for _, w := range p.run.Waits() {
		out = append(out, fmt.Sprintf("%s for %s %s", w.Task, w.Kind, w.Key))
	}
	return out
}

// scope lets the result of a fake read the inputs of the attempt.
type scope struct {
	inputs map[string]any
	now    int64
}

// Root gives the inputs.
func (s scope) Root(name string) (any, bool) { return s.inputs, name == "inputs" }

// Job knows none.
func (s scope) Job(string) (expr.Job, bool) { return expr.Job{}, false }

// Status is always false.
func (s scope) Status(string) bool { return false }

// Now is the time of the case.
func (s scope) Now() time.Time { return time.UnixMilli(s.now).UTC() }
