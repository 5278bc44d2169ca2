package top

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/orchis-run/orchis/internal/cli/progress"
	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/run"
)

// View draws the screen.
func (m *model) View() tea.View {
	lines := m.body()
	for len(lines) < m.height-1 {
		lines = append(lines, "")
	}
	lines = append(lines[:max(0, m.height-1)], m.foot())
	for i, l := range lines {
		lines[i] = ansi.Truncate(l, m.width, "…")
	}
	v := tea.NewView(strings.Join(lines, "\n"))
	v.AltScreen = true
	v.WindowTitle = "orchis top"
	return v
}

func (m *model) body() []string {
	switch {
	case m.help:
		return m.keys()
	case !m.loaded: // what could not be read is not empty
		return []string{m.head(), "", progress.Faint(" reading …")}
	case m.screen == inRun:
		return m.tasks()
	case m.screen == inLog:
		return m.log()
	}
	return m.overview()
}

// sides puts one text at the left end of a line and one at its right.
func (m *model) sides(left, right string) string {
	left = ansi.Truncate(left, max(0, m.width-lipgloss.Width(right)-2), "…")
	return left + strings.Repeat(" ", max(1, m.width-lipgloss.Width(left)-lipgloss.Width(right)-1)) + right
}

func (m *model) head() string {
	clock := "--:--:--"
	if m.loaded {
		clock = m.facts.now.Local().Format("15:04:05")
	}
	return m.sides(" "+progress.Accent("orchis top")+"  "+progress.Faint(m.where), progress.Faint(clock))
}

func (m *model) foot() string {
	switch {
	case m.wish != nil:
		return " " + progress.Bold(m.wish.question) + "  y yes  n no"
	case m.facts.err != nil:
		return " " + progress.Tint("failed") + "  " + progress.Clean(m.facts.err.Error())
	case m.said != "":
		return " " + progress.Clean(m.said)
	case m.help:
		return progress.Faint(" esc back")
	case m.screen == inLog:
		return progress.Faint(" ↑↓ scroll  esc back  q quit")
	case m.screen == inRun:
		return progress.Faint(" ↑↓ move  enter log  c cancel  p pause  esc back  ? help  q quit")
	}
	return progress.Faint(" ↑↓ move  tab next part  enter open  c cancel  p pause  ? help  q quit")
}

func (m *model) keys() []string {
	return []string{
		m.head(), "",
		" ↑ ↓  k j          move                 pgup pgdn  g G   a page, to either end",
		" tab               runs, queues, workers",
		" enter  →          open the run, or the log of the task",
		" esc  ←            back",
		" c                 cancel the run        asks first",
		" p                 pause or resume the run or the queue; asks first",
		" q                 quit",
		"",
		" " + strings.Join([]string{progress.TaskIcon(run.TaskSucceeded) + " succeeded", progress.TaskIcon(run.TaskRunning) + " running", progress.TaskIcon(run.TaskQueued) + " queued", progress.TaskIcon(run.TaskRetrying) + " retrying", progress.TaskIcon(run.TaskFailed) + " failed", progress.TaskIcon(run.TaskPending) + " pending"}, "   "),
	}
}

// overview is the first screen: totals, runs, and below them queues and workers.
func (m *model) overview() []string {
	f := &m.facts
	lines := append([]string{m.head()}, m.totals()...)
	below := max(3, min(max(len(f.queues), len(f.workers))+1, m.height/3))
	room := max(2, m.height-len(lines)-below-3)
	lines = append(lines, "", m.title(runsPane, fmt.Sprintf("RUN       %s STATE       %-22s %7s  BY", fit("RECIPE", m.recipeWidth()), "TASKS", "TOOK")))
	first := start(m.cursor[runsPane], len(f.runs), room-1)
	for i := first; i < len(f.runs) && i < first+room-1; i++ {
		lines = append(lines, m.row(m.pane == runsPane && i == m.cursor[runsPane], m.run(f.runs[i])))
	}
	if len(f.runs) == 0 {
		lines = append(lines, progress.Faint("   no runs yet: orchis submit recipes/hello.yaml"))
	}
	for len(lines) < m.height-below-1 {
		lines = append(lines, "")
	}
	half := m.width/2 - 1
	left, right := m.queues(below, half), m.workers(below, m.width-half-1)
	for i := range below {
		l := ansi.Truncate(left[i], half-1, "…")
		lines = append(lines, l+strings.Repeat(" ", max(0, half-lipgloss.Width(l)))+right[i])
	}
	return lines
}

// totals are what is seen at a glance.
func (m *model) totals() []string {
	f := &m.facts
	var busy, slots int
	var waiting, flying int64
	for i := range f.workers {
		if !silent(&f.workers[i], f.now) {
			busy, slots = busy+f.workers[i].Busy, slots+f.workers[i].Slots
		}
	}
	for _, q := range f.queues {
		waiting, flying = waiting+q.Waiting, flying+q.InFlight
	}
	slotBar := progress.Bar(busy, slots, 8)
	var sum int64
	for _, n := range f.totals.PerMinute {
		sum += n
	}
	return []string{
		fmt.Sprintf(" runs  %s under way, %d ended   slots ▕%s▏ %d/%d   tickets %s waiting, %d taken",
			progress.Bold(strconv.FormatInt(f.totals.Active, 10)), f.totals.Ended, slotBar, busy, slots, progress.Bold(strconv.FormatInt(waiting, 10)), flying),
		fmt.Sprintf(" ended %s  %d in %d min", spark(f.totals.PerMinute), sum, minutes),
	}
}

// spark draws numbers as a line of blocks.
func spark(numbers []int64) string {
	blocks := []rune("▁▂▃▄▅▆▇█")
	most := int64(1)
	for _, n := range numbers {
		most = max(most, n)
	}
	out := make([]rune, 0, len(numbers))
	for _, n := range numbers {
		k := int((n*int64(len(blocks)-1) + most - 1) / most)
		out = append(out, blocks[min(k, len(blocks)-1)])
	}
	return string(out)
}

// title is the head of a part; that with the cursor stands out.
func (m *model) title(p pane, text string) string {
	if m.screen == overview && m.pane == p {
		return " " + progress.Accent("▸") + " " + progress.Bold(text)
	}
	return "   " + progress.Faint(text)
}

func (m *model) row(chosen bool, text string) string {
	if chosen {
		return " " + progress.Accent("▌") + " " + text
	}
	return "   " + text
}

func (m *model) recipeWidth() int { return max(12, min(30, m.width-70)) }

func (m *model) run(r run.Run) string {
	done, total := r.Counts.Final(), r.Counts.Total()
	state := progress.RunIcon(r.State) + " " + progress.Tint(string(r.State)) + strings.Repeat(" ", max(0, 9-len(r.State)))
	count := fmt.Sprintf("▕%s▏ %d/%d", progress.Bar(done, total, 10), done, total)
	return fmt.Sprintf("%-8s  %s %s %s %7s  %s", fit(progress.ShortID(r.ID), 8), fit(r.Recipe, m.recipeWidth()), state, fit(count, 22), m.took(r), progress.Faint(progress.Clean(r.SubmittedBy)))
}

func (m *model) took(r run.Run) string {
	end := m.facts.now
	if r.Ended > 0 {
		end = time.UnixMilli(r.Ended)
	}
	from := r.Started
	if from == 0 {
		from = r.Created
	}
	return progress.Duration(max(0, end.Sub(time.UnixMilli(from))))
}

// fit makes a text exactly so wide.
func fit(text string, width int) string {
	text = ansi.Truncate(progress.Clean(text), width, "…")
	return text + strings.Repeat(" ", max(0, width-lipgloss.Width(text)))
}

// start is the first of the rows that are shown, so that the cursor is among
// them.
func start(cursor, count, room int) int {
	return max(0, min(cursor-room/2, count-room))
}

func silent(w *client.Worker, now time.Time) bool {
	return !w.Alive(now)
}
