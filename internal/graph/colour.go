package graph

import "github.com/orchis-run/orchis/pkg/run"

// palette is how a job in some state is painted.
type palette struct{ fill, line, text string }

// colours returns the palette of a state; the empty state is a job of a
// definition that is not running.
func colours(s run.TaskState) palette {
	switch s {
	case run.TaskSucceeded, run.TaskCached:
		return palette{"#dcfce7", "#16a34a", "#14532d"}
	case run.TaskRunning:
		return palette{"#dbeafe", "#2563eb", "#1e3a8a"}
	case run.TaskQueued, run.TaskRetrying, run.TaskWaiting, run.TaskDelayed:
		return palette{"#fef3c7", "#d97706", "#78350f"}
	case run.TaskFailed:
		return palette{"#fee2e2", "#dc2626", "#7f1d1d"}
	case run.TaskSkipped, run.TaskBlocked, run.TaskCancelled:
		return palette{"#ede9fe", "#8b7fa8", "#4c4460"}
	case run.TaskPending:
		return palette{"#f3f4f6", "#9ca3af", "#374151"}
	}
	return palette{"#ffffff", "#7c3aed", "#1f2937"}
}

// Icon is the sign of a task's state: told apart without colour.
func Icon(s run.TaskState) string {
	switch s {
	case run.TaskSucceeded:
		return "✔"
	case run.TaskRunning:
		return "●"
	case run.TaskQueued:
		return "◌"
	case run.TaskRetrying:
		return "↻"
	case run.TaskWaiting:
		return "✋"
	case run.TaskDelayed:
		return "◔"
	case run.TaskCached:
		return "≡"
	case run.TaskFailed:
		return "✘"
	case run.TaskSkipped:
		return "⊘"
	case run.TaskBlocked:
		return "⊗"
	case run.TaskCancelled:
		return "◼"
	}
	return "○"
}
