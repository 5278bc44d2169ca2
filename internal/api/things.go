package api

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/flow"
)

// Recipes lists what can be submitted by its name: recipes, and flows after
// them. They are read anew each time; the orchestrator does the same.
func (s *Server) Recipes() ([]Recipe, error) {
	out := []Recipe{}
	if s.cfg.Definitions.Root == "" {
		return out, nil
	}
	l, err := flow.NewLoader(s.cfg.Definitions)
	if err != nil {
		return nil, err
	}
	defer func() { _ = l.Close() }()
	for _, folder := range []string{"recipes", "flows"} {
		files, err := os.ReadDir(filepath.Join(s.cfg.Definitions.Root, folder))
		if err != nil {
			continue // a project need not have both
		}
		for _, f := range files {
			ext := path.Ext(f.Name())
			if f.IsDir() || ext != ".yaml" && ext != ".yml" {
				continue
			}
			out = append(out, s.recipe(l, folder+"/"+f.Name()))
		}
	}
	return out, nil
}

func (s *Server) recipe(l *flow.Loader, file string) Recipe {
	rc := Recipe{Name: strings.TrimSuffix(path.Base(file), path.Ext(file)), Path: file}
	b, diags := l.LoadLocal(file)
	if b == nil {
		for _, d := range diags {
			rc.Problems = append(rc.Problems, fmt.Sprintf("%s:%d:%d: %s", d.File, d.Line, d.Column, d.Message))
		}
		return rc
	}
	f := b.RootFlow()
	rc.Title, rc.Description, rc.Inputs = f.Name, f.Description, f.Inputs
	return rc
}

// Load reads a recipe of the project.
func (s *Server) Load(name string) (*flow.Bundle, error) {
	if s.cfg.Definitions.Root == "" {
		return nil, &Error{http.StatusNotFound, "notFound", "this server has no project"}
	}
	l, err := flow.NewLoader(s.cfg.Definitions)
	if err != nil {
		return nil, err
	}
	defer func() { _ = l.Close() }()
	b, diags := l.LoadLocal(name)
	if err := diags.Err(); err != nil {
		status := http.StatusUnprocessableEntity
		if len(diags) == 1 && diags[0].Code == "E001" {
			status = http.StatusNotFound
		}
		return nil, &Error{status, "invalid", err.Error()}
	}
	return b, nil
}

func (s *Server) listRecipes(http.ResponseWriter, *http.Request) (any, error) {
	all, err := s.Recipes()
	return recipeList{all}, err
}

func (s *Server) getRecipe(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.Load(r.PathValue("recipe"))
}

func (s *Server) listWorkers(_ http.ResponseWriter, r *http.Request) (any, error) {
	all, err := s.cfg.Client.Workers(r.Context())
	return workerList{append([]wire.Worker{}, all...)}, err
}

// Queues are all queues, lane by lane.
func (s *Server) Queues(r *http.Request) ([]Queue, error) {
	all, err := s.cfg.Client.Queues(r.Context())
	if err != nil {
		return nil, err
	}
	paused, err := s.cfg.Client.PausedQueues(r.Context())
	if err != nil {
		return nil, err
	}
	oldest, err := s.cfg.Client.OldestTickets(r.Context())
	if err != nil {
		return nil, err
	}
	out := []Queue{}
	for _, q := range all {
		one := Queue{Queue: q}
		if at, there := oldest[q.Queue]; there {
			one.Oldest = at.UnixMilli()
		}
		if p, is := paused[q.Queue]; is {
			one.Paused = &p
		}
		out = append(out, one)
	}
	return out, nil
}

func (s *Server) listQueues(_ http.ResponseWriter, r *http.Request) (any, error) {
	all, err := s.Queues(r)
	return queueList{all}, err
}

func (s *Server) listDead(_ http.ResponseWriter, r *http.Request) (any, error) {
	limit, err := number(r, "limit", 100, 1000)
	if err != nil {
		return nil, err
	}
	all, err := s.cfg.Client.DeadLetters(r.Context(), limit)
	return deadList{append([]client.DeadLetter{}, all...)}, err
}

func (s *Server) getDead(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.cfg.Client.DeadLetter(r.Context(), r.PathValue("letter"))
}

func (s *Server) listSchedules(_ http.ResponseWriter, r *http.Request) (any, error) {
	all, err := s.cfg.Client.Schedules(r.Context())
	out := scheduleList{[]client.Schedule{}}
	for _, key := range slices.Sorted(maps.Keys(all)) {
		out.Schedules = append(out.Schedules, all[key])
	}
	return out, err
}

func (s *Server) system(_ http.ResponseWriter, r *http.Request) (any, error) {
	ctx := r.Context()
	checks, err := s.cfg.Client.Check(ctx)
	if err != nil {
		return nil, err
	}
	totals, err := s.cfg.Client.Count(ctx, 1)
	if err != nil {
		return nil, err
	}
	epoch, err := s.cfg.Client.Epoch(ctx)
	reasons := s.cfg.Ready(ctx)
	return system{Version: s.cfg.Version, Epoch: epoch, Active: totals.Active, Ended: totals.Ended, Ready: len(reasons) == 0, Reasons: reasons, Checks: checks}, err
}
