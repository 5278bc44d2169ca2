package engine

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/orchis-run/orchis/internal/expr"
	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/run"
)

// advanceNode starts a job whose turn has come, or ends it without.
func (r *Run) advanceNode(w work) {
	n := w.node
	s := n.scope
	pending := n.state() == run.TaskPending && n.unit.place != parked || n.state() == run.TaskDelayed
	switch {
	case n.state().Final():
	case !s.admits(n.step):
		r.cancelNode(n)
	case pending && n.waiting == 0:
		r.startNode(n)
	}
}

func (r *Run) startNode(n *node) {
	if n.state() == run.TaskDelayed {
		r.startDelayed(n)
		return
	}
	what, reason, bad := r.decideStart(n)
	switch {
	case bad != nil:
		r.failNow(&n.unit, bad)
	case what == mustSkip:
		n.unit.rec.Reason = reason
		r.end(&n.unit, run.TaskSkipped)
	case what == isBlocked:
		n.unit.rec.Reason = reason
		r.end(&n.unit, run.TaskBlocked)
	case r.dryRun == nil && (n.step.def.Delay != nil || n.step.def.Until != nil):
		r.delayNode(n)
	default:
		r.beginNode(n)
	}
}

// beginNode begins a job that may start now.
func (r *Run) beginNode(n *node) {
	if n.iterated() {
		r.openItems(n)
		return
	}
	r.advanceUnit(work{unit: &n.unit})
}

// decideStart applies the rule of who may start, and the job's own condition.
func (r *Run) decideStart(n *node) (decision, string, *run.Error) {
	cond := n.step.def.If
	if !n.step.explicit {
		if d := n.dependencyRule(); d != canStart {
			return d, n.whyNot(d), nil
		}
	}
	if cond == nil {
		return canStart, "", nil
	}
	yes, err := cond.Eval(r.view(&n.unit))
	switch {
	case err != nil:
		return canStart, "", expressionError(inPart("if", err))
	case yes:
		return canStart, "", nil
	case n.step.explicit && !n.step.afterFailure && n.anyDependency((*node).blocksDependents):
		return isBlocked, n.whyNot(isBlocked), nil
	}
	return mustSkip, "its condition was false", nil
}

// whyNot names the jobs that keep a node from starting.
func (n *node) whyNot(d decision) string {
	for _, dep := range n.step.deps {
		other := &n.scope.nodes[dep.job]
		name := other.step.def.Name
		switch {
		case d == isBlocked && other.blocksDependents() && dep.on != flow.OnFinished && dep.on != flow.OnFailed:
			return fmt.Sprintf("%s is %s", name, other.state())
		case d == mustSkip && dep.on == flow.OnFailed && !other.blocksDependents():
			return fmt.Sprintf("%s did not fail", name)
		case d == mustSkip && dep.on == flow.OnSucceeded && !other.succeeded():
			return fmt.Sprintf("%s is %s", name, other.state())
		}
	}
	return "all jobs it depends on were skipped"
}

// openItems begins an iteration.
func (r *Run) openItems(n *node) {
	it, bad := r.items(n)
	if bad == nil && r.rec.Counts.Total()+len(it.items) > r.limits.MaxTasks {
		bad = &run.Error{Code: run.CodeTooLarge, Message: fmt.Sprintf(
			"%d items would make more than the limit of %d tasks in a run", len(it.items), r.limits.MaxTasks)}
	}
	if bad != nil {
		r.failNow(&n.unit, bad)
		return
	}
	rec := &n.unit.rec
	rec.Items, rec.Queued, rec.Started, rec.First = len(it.items), r.now, r.now, r.now
	n.iter = it
	r.rec.Counts.Add(run.TaskPending, len(it.items))
	r.move(&n.unit, run.TaskRunning)
	r.enqueueItems(n)
}

// items evaluates what a job iterates over.
func (r *Run) items(n *node) (*iteration, *run.Error) {
	v := r.view(&n.unit)
	it := &iteration{}
	if n.step.def.Range != nil {
		list, err := r.rangeItems(n.step.def.Range, v)
		if err != nil {
			return nil, expressionError(inPart("iterate", err))
		}
		it.items = list
	} else {
		value, err := n.step.def.Iterate.Eval(v)
		if err != nil {
			return nil, expressionError(inPart("iterate", err))
		}
		switch value := value.(type) {
		case []any:
			it.items = value
		case map[string]any:
			it.keys = make([]string, 0, len(value))
			for k := range value {
				it.keys = append(it.keys, k)
			}
			slices.Sort(it.keys)
			for _, k := range it.keys {
				it.items = append(it.items, map[string]any{"key": k, "value": value[k]})
			}
		default:
			return nil, &run.Error{Code: run.CodeExpression, Message: "iterate: want a list or a map, got " + expr.KindOf(value)}
		}
	}
	it.batches(n.step.def.Batch)
	it.units = make([]*unit, len(it.items))
	return it, nil
}

// batches gathers the items by the batch; each batch is an item then.
func (it *iteration) batches(size int) {
	if size <= 1 {
		return
	}
	it.batch, it.total = true, len(it.items)
	var all []any
	for part := range slices.Chunk(it.items, size) {
		all = append(all, any(part))
	}
	it.items, it.keys = all, nil
}

func (r *Run) rangeItems(def *flow.Range, v *view) ([]any, error) {
	from, err := def.From.Eval(v)
	if err != nil {
		return nil, err
	}
	to, err := def.To.Eval(v)
	if err != nil {
		return nil, err
	}
	step := any(1)
	if def.Step != nil {
		if step, err = def.Step.Eval(v); err != nil {
			return nil, err
		}
	}
	a, okA := number(from)
	b, okB := number(to)
	d, okD := number(step)
	if !okA || !okB || !okD || d == 0 {
		return nil, fmt.Errorf("from, to and step must be numbers and step not 0; they are %s, %s and %s", expr.KindOf(from), expr.KindOf(to), expr.KindOf(step))
	}
	count := math.Floor((b-a)/d+1e-9) + 1
	if count > float64(r.limits.MaxTasks) {
		return nil, fmt.Errorf("%.0f items are more than the limit of %d tasks", count, r.limits.MaxTasks)
	}
	list := make([]any, 0, max(0, int(count)))
	for i := range max(0, int(count)) {
		x := a + float64(i)*d
		if x == math.Trunc(x) && math.Abs(x) < 1<<53 {
			list = append(list, int(x))
		} else {
			list = append(list, x)
		}
	}
	return list, nil
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int:
		return float64(v), true
	case float64:
		return v, !math.IsNaN(v) && !math.IsInf(v, 0)
	}
	return 0, false
}

// advanceItems starts items while there is room, and ends the iteration when
// there is nothing left.
func (r *Run) advanceItems(w work) {
	n := w.node
	it := n.iter
	if it == nil || n.state().Final() {
		return
	}
	for it.next < len(it.items) && it.active < windowOf(n.step.def, r.limits) && !it.stopped {
		if r.spent >= r.limits.Budget {
			r.enqueueItems(n)
			return
		}
		i := it.next
		it.next++
		if it.units[i] != nil {
			continue
		}
		u := &unit{node: n, index: i}
		it.units[i] = u
		it.active++
		r.advanceUnit(work{unit: u})
	}
	if it.active == 0 && (it.stopped || it.next >= len(it.items)) {
		r.closeItems(n)
	}
}

// itemEnded counts a final item.
func (r *Run) itemEnded(u *unit) {
	n := u.node
	it := n.iter
	it.active--
	if u.rec.State == run.TaskFailed {
		it.failed++
		if n.step.def.FailFast && it.failed > n.maxFailures() {
			it.stopped = true
		}
	} else if !r.retainsTasks(n.scope) {
		it.units[u.index] = &unit{node: n, index: u.index, rec: run.Task{State: u.rec.State}}
		if u.dirty {
			it.units[u.index] = u
		}
	}
	r.enqueueItems(n)
}

// maxFailures is the number of items that may fail.
func (n *node) maxFailures() int {
	def := n.step.def
	return max(def.MaxFailures, int(def.MaxFailuresPct*float64(len(n.iter.items))/100))
}

// closeItems ends an iteration.
func (r *Run) closeItems(n *node) {
	it := n.iter
	left := 0
	cancelled := n.scope.stopped() && it.stopped
	for i, u := range it.units {
		switch {
		case u == nil:
			left++
		case u.rec.State == run.TaskCancelled:
			cancelled = true
		case u.rec.State == run.TaskFailed:
			n.errors = append(n.errors, itemError(it, i, u.rec.Error))
		}
	}
	it.rest = run.TaskSkipped
	to := run.TaskSucceeded
	switch {
	case it.failed > n.maxFailures():
		to = run.TaskFailed
		n.unit.rec.Error = n.itemsError()
	case cancelled:
		to, it.rest = run.TaskCancelled, run.TaskCancelled
		n.unit.rec.Reason = r.stopReason(n.scope)
	}
	r.rec.Counts.Add(run.TaskPending, -left)
	r.rec.Counts.Add(it.rest, left)
	if !r.retainsTasks(n.scope) {
		defer func() { n.iter = nil }()
	}
	r.end(&n.unit, to)
}

func itemError(it *iteration, i int, err *run.Error) map[string]any {
	e := map[string]any{"index": i, "item": it.items[i], "code": run.CodeError, "message": ""}
	if it.batch {
		e["item"] = map[string]any{"items": it.items[i]}
	}
	if err != nil {
		e["code"], e["message"] = err.Code, err.Message
	}
	return e
}

func (n *node) itemsError() *run.Error {
	it := n.iter
	err := &run.Error{Code: run.CodeItems, Message: fmt.Sprintf("%d of %d items failed", it.failed, len(it.items))}
	for i, u := range it.units {
		if u != nil && u.rec.State == run.TaskFailed && u.rec.Error != nil {
			err.Message += fmt.Sprintf("; item %d: %s", i, u.rec.Error.Message)
			err.Task = u.path()
			if u.rec.Error.Task != "" {
				err.Task = u.rec.Error.Task
			}
			break
		}
	}
	return err
}

func splitPath(path string) []string { return strings.Split(path, ".") }

// keysOf lists the keys of a map for an error message.
func keysOf(v any) string {
	m, ok := v.(map[string]any)
	if !ok {
		return ": it is " + expr.KindOf(v)
	}
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	if len(keys) > 12 {
		keys = append(keys[:12], "...")
	}
	return "; it has " + strings.Join(keys, ", ")
}
