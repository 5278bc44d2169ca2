package progress

import (
	"slices"

	"charm.land/lipgloss/v2"

	"github.com/orchis-run/orchis/internal/graph"
	"github.com/orchis-run/orchis/pkg/run"
)

func taskIcon(s run.TaskState) string { return taskStyle(s).Render(graph.Icon(s)) }

func runIcon(s run.State) string {
	switch s {
	case run.Succeeded:
		return runStyle(s).Render("✔")
	case run.Failed:
		return runStyle(s).Render("✘")
	case run.Cancelled:
		return runStyle(s).Render("◼")
	}
	return runStyle(s).Render("●")
}

func taskStyle(s run.TaskState) lipgloss.Style {
	style := lipgloss.NewStyle()
	switch s {
	case run.TaskSucceeded, run.TaskCached:
		return style.Foreground(lipgloss.Color("2"))
	case run.TaskRunning:
		return style.Foreground(lipgloss.Color("4"))
	case run.TaskQueued, run.TaskRetrying, run.TaskWaiting, run.TaskDelayed:
		return style.Foreground(lipgloss.Color("3"))
	case run.TaskFailed:
		return style.Foreground(lipgloss.Color("1"))
	}
	return style.Faint(true)
}

func runStyle(s run.State) lipgloss.Style {
	style := lipgloss.NewStyle()
	switch s {
	case run.Succeeded:
		return style.Foreground(lipgloss.Color("2"))
	case run.Failed:
		return style.Foreground(lipgloss.Color("1"))
	case run.Running:
		return style.Foreground(lipgloss.Color("4"))
	}
	return style.Foreground(lipgloss.Color("3"))
}

func accent(s string) string {
	return lipgloss.NewStyle().Bold(true).Foreground(lipgloss.Color("#a78bfa")).Render(s)
}
func bold(s string) string  { return lipgloss.NewStyle().Bold(true).Render(s) }
func faint(s string) string { return lipgloss.NewStyle().Faint(true).Render(s) }

// Faint is for what is less important.
func Faint(s string) string { return faint(s) }

// Accent marks the name of what is looked at.
func Accent(s string) string { return accent(s) }

// Bold is for heads.
func Bold(s string) string { return bold(s) }

// Tint colours the word of a state.
func Tint(s string) string {
	for _, state := range run.States() {
		if s == string(state) {
			return runStyle(state).Render(s)
		}
	}
	if slices.Contains(run.TaskStates(), run.TaskState(s)) {
		return taskStyle(run.TaskState(s)).Render(s)
	}
	return s
}

// RunIcon is the sign of a run's state, coloured.
func RunIcon(s run.State) string { return runIcon(s) }

// TaskIcon is the sign of a task's state.
func TaskIcon(s run.TaskState) string { return taskIcon(s) }

// Bar draws a bar of the given width, done of total full.
func Bar(done, total, width int) string { return bar(done, total, width) }
