package run

// Stop says that a run, or a nested flow, is being stopped: it starts no more
// jobs but those that run after a stop, and ends when all its tasks are final.
// The first stop counts; a second cancel only makes it hard.
type Stop struct {
	// Cause is why, and becomes the Error of the run or task when it ends.
	Cause *Error `json:"cause"`
	// Hard stops start no jobs at all and stop hooks too.
	Hard bool `json:"hard,omitempty"`
	// By is the person who stopped the run; empty for a timeout or an eviction.
	By string `json:"by,omitempty"`
}

// State returns the state in which a stopped run ends: Cancelled when its cause
// has CodeCancelled, else Failed.
func (s *Stop) State() State {
	if s.Cause.Code == CodeCancelled {
		return Cancelled
	}
	return Failed
}

// Stopping reports whether the run is being stopped and has not ended.
func (r *Run) Stopping() bool { return r.Stop != nil }

// Stopping reports whether the nested flow of the task is being stopped for a
// reason of its own. Flows below a flow that is being stopped have no Stop: they
// end with it.
func (t *Task) Stopping() bool { return t.Stop != nil }

// Why returns why the run failed, was cancelled or is being stopped; nil for
// any other.
func (r *Run) Why() *Error {
	if r.Stop != nil {
		return r.Stop.Cause
	}
	return r.Error
}

// Why returns why the task failed, why its newest attempt did, or why its
// nested flow is being stopped; nil for any other.
func (t *Task) Why() *Error {
	if t.Stop != nil {
		return t.Stop.Cause
	}
	return t.Error
}
