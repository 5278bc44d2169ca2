package top

import (
	"fmt"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/orchis-run/orchis/internal/cli/progress"
	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/run"
)

// queues is the part with the queues: so many lines, so wide.
func (m *model) queues(lines, width int) []string {
	f := &m.facts
	name := max(8, width-29)
	out := []string{m.title(queuesPane, fmt.Sprintf("%s %8s %6s", fit("QUEUE", name), "WAITING", "TAKEN"))}
	first := start(m.cursor[queuesPane], len(f.queues), lines-1)
	for i := first; i < len(f.queues) && len(out) < lines; i++ {
		q := f.queues[i]
		label := q.Queue
		if q.Priority != "" && q.Priority != "normal" {
			label += " " + string(q.Priority)
		}
		text := fmt.Sprintf("%s %8d %6d", fit(label, name), q.Waiting, q.InFlight)
		if _, is := f.paused[q.Queue]; is {
			text += " " + progress.Tint("paused")
		}
		out = append(out, m.row(m.pane == queuesPane && i == m.cursor[queuesPane], text))
	}
	return padded(out, lines)
}

// workers is the part with the workers and their slots.
func (m *model) workers(lines, width int) []string {
	f := &m.facts
	name := max(10, min(28, width-26))
	out := []string{m.title(workersPane, fit("WORKER", name)+" SLOTS")}
	first := start(m.cursor[workersPane], len(f.workers), lines-1)
	for i := first; i < len(f.workers) && len(out) < lines; i++ {
		out = append(out, m.row(m.pane == workersPane && i == m.cursor[workersPane], worker(&f.workers[i], name, f.now)))
	}
	if len(f.workers) == 0 {
		out = append(out, progress.Faint("   none: orchis dev, or a worker, starts some"))
	}
	return padded(out, lines)
}

func worker(w *client.Worker, name int, now time.Time) string {
	slots := strings.Repeat("■", min(w.Busy, 12)) + strings.Repeat("□", max(0, min(w.Slots, 12)-min(w.Busy, 12)))
	text := fmt.Sprintf("%s %s %d/%d", fit(w.Name, name), slots, w.Busy, w.Slots)
	switch {
	case silent(w, now):
		text += " silent for " + progress.Duration(now.Sub(time.UnixMilli(w.Seen)))
	case w.Draining:
		text += " draining"
	}
	return text
}

func padded(lines []string, count int) []string {
	for len(lines) < count {
		lines = append(lines, "")
	}
	return lines
}

// top of the screens about one run.
func (m *model) runHead() []string {
	r := m.facts.run
	done, total := r.Counts.Final(), r.Counts.Total()
	lines := []string{
		m.head(), "",
		fmt.Sprintf(" %s %s  %s  %s ▕%s▏ %d/%d  %s", progress.RunIcon(r.State), progress.Bold(progress.Clean(r.Recipe)), progress.Faint(m.id()), progress.Tint(string(r.State)), progress.Bar(done, total, 16), done, total, m.took(r)),
	}
	if err := r.Why(); err != nil {
		lines = append(lines, "   "+progress.Clean(err.Error()))
	}
	return append(lines, "")
}

// id is that of the open run, whole where there is room.
func (m *model) id() string {
	if m.width < 100 {
		return progress.ShortID(m.facts.run.ID)
	}
	return m.facts.run.ID
}

// tasks is the screen of a run.
func (m *model) tasks() []string {
	lines := m.runHead()
	width := 12
	for _, t := range m.facts.tasks {
		width = max(width, len([]rune(t.ID)))
	}
	width = min(width, max(12, m.width/3))
	lines = append(lines, "   "+progress.Faint(fmt.Sprintf("  %s %-10s %7s  %s", fit("TASK", width), "STATE", "TOOK", "PROGRESS, WORKER")))
	room := max(1, m.height-len(lines)-1)
	first := start(m.task, len(m.facts.tasks), room)
	for i := first; i < len(m.facts.tasks) && i < first+room; i++ {
		lines = append(lines, m.row(i == m.task, m.taskRow(m.facts.tasks[i], width)))
	}
	return lines
}

func (m *model) taskRow(t run.Task, width int) string {
	took := ""
	if t.Started > 0 && t.State != run.TaskQueued {
		end := m.facts.now
		if t.Ended > 0 {
			end = time.UnixMilli(t.Ended)
		}
		took = progress.Duration(max(0, end.Sub(time.UnixMilli(t.Started))))
	}
	s := fmt.Sprintf("%s %s %s%s %7s ", progress.TaskIcon(t.State), fit(t.ID, width), progress.Tint(string(t.State)), strings.Repeat(" ", max(0, 10-len(t.State))), took)
	if t.Progress > 0 && t.State == run.TaskRunning {
		s += fmt.Sprintf(" ▕%s▏ %.0f%%", progress.Bar(int(t.Progress*10), 1000, 8), t.Progress)
	}
	if t.Items > 0 {
		s += fmt.Sprintf(" %d items", t.Items)
	}
	if t.Attempt > 1 {
		s += fmt.Sprintf(" attempt %d", t.Attempt)
	}
	switch {
	case t.Why() != nil:
		s += " " + progress.Clean(t.Why().Error())
	case t.Reason != "":
		s += " " + progress.Faint(progress.Clean(t.Reason))
	case t.State == run.TaskRunning && t.Note != "":
		s += " " + progress.Clean(t.Note)
	}
	if t.Worker != "" {
		s += " " + progress.Faint(progress.Clean(t.Worker))
	}
	return s
}

// log is the screen of a task: the end of what it wrote.
func (m *model) log() []string {
	lines := m.runHead()
	lines = append(lines, " "+progress.Bold(progress.Clean(m.path)))
	room := max(1, m.height-len(lines)-1)
	end := len(m.facts.lines) - m.scroll
	if end <= 0 {
		return append(lines, progress.Faint("   it has written nothing"))
	}
	for _, l := range m.facts.lines[max(0, end-room):end] {
		at := time.UnixMilli(l.At).Local().Format("15:04:05")
		lines = append(lines, ansi.Truncate("   "+progress.Faint(at)+" "+progress.Colours(strings.ReplaceAll(l.Text, "\t", "    ")), m.width, "…"))
	}
	return lines
}
