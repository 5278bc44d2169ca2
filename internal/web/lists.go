package web

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/orchis-run/orchis/internal/api"
	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/run"
)

// overview is the first page.
type overview struct {
	Running, Queued, Paused, Failed int
	Busy, Slots, Workers            int
	Waiting, InFlight               int64 // tickets that no worker has, and that one has
	Most                            int64 // runs that ended in a minute
	Spark                           []column
	PerHour                         int64
	Recipes                         []recipeRow
	Failures                        []run.Run
	Attention                       []run.Run // paused, or waiting for somebody
}

// column is a minute of the sparkline, 0 to 30 high.
type column struct {
	X, Y, H int
	N       int64
}

type recipeRow struct {
	Name string
	Runs []run.Run
}

// gridLook is how many of the newest runs the grid is made of.
const gridLook = 400

func (s *site) overview(r *http.Request) (*view, error) {
	ctx, c := r.Context(), s.api.Client()
	totals, err := c.Count(ctx, 60)
	if err != nil {
		return nil, err
	}
	page, err := c.Page(ctx, client.Filter{Limit: gridLook}, "")
	if err != nil {
		return nil, err
	}
	workers, err := c.Workers(ctx)
	if err != nil {
		return nil, err
	}
	queues, err := c.Queues(ctx)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	o := &overview{}
	for _, w := range alive(workers, now) {
		o.Busy, o.Slots, o.Workers = o.Busy+w.Busy, o.Slots+w.Slots, o.Workers+1
	}
	for _, q := range queues {
		o.Waiting, o.InFlight = o.Waiting+q.Waiting, o.InFlight+q.InFlight
	}
	o.sort(page.Runs, now)
	o.spark(totals.PerMinute)
	return &view{Title: "Overview", Nav: "overview", Data: o}, nil
}

// sort puts the newest runs where they are shown.
func (o *overview) sort(runs []run.Run, now time.Time) {
	rows := map[string]*recipeRow{}
	var names []string
	day := now.Add(-24 * time.Hour).UnixMilli()
	for _, r := range runs {
		switch {
		case r.State == run.Running:
			o.Running++
		case r.State == run.Queued:
			o.Queued++
		case r.State == run.Paused:
			o.Paused++
		case r.State == run.Failed && r.Ended > day:
			o.Failed++
			if len(o.Failures) < 6 {
				o.Failures = append(o.Failures, r)
			}
		}
		if (r.State == run.Paused || r.Counts.Waiting > 0 && r.Counts.Running+r.Counts.Queued == 0 && !r.State.Final()) && len(o.Attention) < 6 {
			o.Attention = append(o.Attention, r)
		}
		row := rows[r.Recipe]
		if row == nil {
			row = &recipeRow{Name: r.Recipe}
			rows[r.Recipe] = row
			names = append(names, r.Recipe)
		}
		if len(row.Runs) < 30 {
			row.Runs = append(row.Runs, r)
		}
	}
	for _, name := range names {
		slices.Reverse(rows[name].Runs)
		o.Recipes = append(o.Recipes, *rows[name])
	}
}

func (o *overview) spark(minutes []int64) {
	for _, n := range minutes {
		o.Most = max(o.Most, n)
		o.PerHour += n
	}
	most := max(1, o.Most)
	for i, n := range minutes {
		h := int(30 * n / most)
		if n > 0 && h < 2 {
			h = 2
		}
		o.Spark = append(o.Spark, column{X: 4 * i, Y: 32 - h, H: h, N: n})
	}
}

// runList is the page of runs.
type runList struct {
	Runs    []run.Run
	Next    string
	States  []run.State
	Chosen  map[string]bool
	Recipes []string
}

func (s *site) runs(r *http.Request) (*view, error) {
	f, err := api.Filter(r)
	if err != nil {
		return nil, err
	}
	page, err := s.api.Client().Page(r.Context(), f, r.URL.Query().Get("cursor"))
	if err != nil {
		return nil, err
	}
	d := &runList{Runs: page.Runs, Next: page.Next, States: run.States(), Chosen: map[string]bool{}}
	for _, st := range f.States {
		d.Chosen[string(st)] = true
	}
	names := map[string]bool{}
	newest, err := s.api.Client().Newest(r.Context(), gridLook, 1)
	if err != nil {
		return nil, err
	}
	for name := range newest {
		names[name] = true
	}
	if f.Recipe != "" {
		names[f.Recipe] = true
	}
	d.Recipes = slices.Sorted(maps.Keys(names))
	return &view{Title: "Runs", Nav: "runs", Data: d}, nil
}

// queueRow is a lane of a queue with what is needed to serve it.
type queueRow struct {
	api.Queue
	Workers, Slots, Busy int
}

func (s *site) queues(r *http.Request) (*view, error) {
	all, err := s.api.Queues(r)
	if err != nil {
		return nil, err
	}
	workers, err := s.api.Client().Workers(r.Context())
	if err != nil {
		return nil, err
	}
	var rows []queueRow
	for _, q := range all {
		row := queueRow{Queue: q}
		for _, w := range alive(workers, time.Now()) {
			if slices.Contains(w.Queues, q.Queue.Queue) {
				row.Workers, row.Slots, row.Busy = row.Workers+1, row.Slots+w.Slots, row.Busy+w.Busy
			}
		}
		rows = append(rows, row)
	}
	return &view{Title: "Queues", Nav: "queues", Data: rows}, nil
}

// workerRow is a worker with its slots as squares.
type workerRow struct {
	client.Worker
	Silent  bool
	Squares []bool
	More    int
	Names   string
}

func (s *site) workers(r *http.Request) (*view, error) {
	all, err := s.api.Client().Workers(r.Context())
	if err != nil {
		return nil, err
	}
	now, err := s.api.Client().Now(r.Context())
	if err != nil {
		return nil, err
	}
	var rows []workerRow
	for _, w := range all {
		row := workerRow{Worker: w, Silent: !w.Alive(now)}
		for i := range min(w.Slots, 64) {
			row.Squares = append(row.Squares, i < w.Busy)
		}
		row.More = max(0, w.Slots-64)
		var names []string
		for _, h := range w.Handlers {
			names = append(names, h.Name)
		}
		row.Names = strings.Join(names, ", ")
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b workerRow) int { return strings.Compare(a.Name, b.Name) })
	return &view{Title: "Workers", Nav: "workers", Data: rows}, nil
}

func (s *site) dead(r *http.Request) (*view, error) {
	all, err := s.api.Client().DeadLetters(r.Context(), 200)
	return &view{Title: "Dead letters", Nav: "dead", Data: all}, err
}

func (s *site) schedules(r *http.Request) (*view, error) {
	all, err := s.api.Client().Schedules(r.Context())
	var rows []client.Schedule
	for _, key := range slices.Sorted(maps.Keys(all)) {
		rows = append(rows, all[key])
	}
	return &view{Title: "Schedules", Nav: "schedules", Data: rows}, err
}

// system is how things are.
type system struct {
	Checks  []client.Finding
	Epoch   string
	Active  int64
	Ended   int64
	Version string
	// Settings are those in effect.
	Settings []api.Setting
}

func (s *site) system(r *http.Request) (*view, error) {
	ctx, c := r.Context(), s.api.Client()
	checks, err := c.Check(ctx)
	if err != nil {
		return nil, err
	}
	totals, err := c.Count(ctx, 1)
	if err != nil {
		return nil, err
	}
	epoch, err := c.Epoch(ctx)
	return &view{Title: "System", Nav: "system", Data: &system{checks, epoch, totals.Active, totals.Ended, s.api.Version(), s.api.Settings()}}, err
}
