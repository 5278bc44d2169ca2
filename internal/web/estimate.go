package web

import (
	"context"
	"time"

	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/run"
)

// mostGuessed is how many tasks the run has at most that a guess is made from:
// reading it must not cost more than the page.
const mostGuessed = 5000

// left says about how long a run will still take: the longest way through what
// its jobs still have to do, if each takes as long as in the newest run of the
// recipe that succeeded. It is empty when there is none, or when a job is not
// in it.
func (s *site) left(ctx context.Context, m *model) (string, error) {
	if m.bundle == nil {
		return "", nil
	}
	page, err := s.api.Client().Page(ctx, client.Filter{Recipe: m.rec.Recipe, States: []run.State{run.Succeeded}, Limit: 1}, "")
	if err != nil || len(page.Runs) == 0 || page.Runs[0].Counts.Total() > mostGuessed {
		return "", err
	}
	before, err := s.api.Client().Tasks(ctx, page.Runs[0].ID)
	if err != nil {
		return "", err
	}
	took := make(map[string]int64, len(before))
	for _, t := range before {
		if t.Started > 0 && t.Ended >= t.Started {
			took[t.ID] = t.Ended - t.Started
		}
	}
	ms, known := longest(m.bundle.RootFlow().Jobs, m.tasks, took, s.now(ctx).UnixMilli())
	if !known || ms < 1000 {
		return "", nil
	}
	return length((time.Duration(ms) * time.Millisecond).Round(time.Second)), nil
}

// longest is the longest way in milliseconds through the jobs that have not
// ended. It is not known when a job that is to come has no time in took, unless
// that job may be skipped.
func longest(jobs []flow.Job, tasks map[string]run.Task, took map[string]int64, now int64) (ms int64, known bool) {
	byName := make(map[string]*flow.Job, len(jobs))
	for i := range jobs {
		byName[jobs[i].Name] = &jobs[i]
	}
	ways := map[string]int64{} // until the end of each job, -1 while it is looked at
	known = true
	var way func(name string) int64
	way = func(name string) int64 {
		if v, ok := ways[name]; ok {
			return max(0, v)
		}
		ways[name] = -1
		j, t := byName[name], tasks[name]
		if j == nil || t.State.Final() {
			ways[name] = 0
			return 0
		}
		need, ok := took[name]
		known = known && (ok || j.If != nil)
		if t.Started > 0 && t.State == run.TaskRunning {
			need = max(0, need-(now-t.Started))
		}
		var before int64
		for _, d := range j.Deps {
			before = max(before, way(d.Job))
		}
		ways[name] = before + need
		return ways[name]
	}
	for i := range jobs {
		ms = max(ms, way(jobs[i].Name))
	}
	return ms, known
}
