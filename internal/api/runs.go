package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"

	"github.com/orchis-run/orchis/pkg/client"
	"github.com/orchis-run/orchis/pkg/run"
)

// number reads a query parameter within bounds.
func number(r *http.Request, name string, otherwise, most int) (int, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, badRequest("%s is %q, want a number from 1 to %d", name, text, most)
	}
	return n, nil
}

// Filter reads which runs are wanted.
func Filter(r *http.Request) (client.Filter, error) {
	q := r.URL.Query()
	f := client.Filter{Recipe: q.Get("recipe")}
	for _, text := range q["state"] {
		if text == "" {
			continue
		}
		if !slices.Contains(run.States(), run.State(text)) {
			return f, badRequest("there is no state %q", text)
		}
		f.States = append(f.States, run.State(text))
	}
	var err error
	f.Limit, err = number(r, "limit", 50, 500)
	return f, err
}

func (s *Server) listRuns(_ http.ResponseWriter, r *http.Request) (any, error) {
	f, err := Filter(r)
	if err != nil {
		return nil, err
	}
	page, err := s.cfg.Client.Page(r.Context(), f, r.URL.Query().Get("cursor"))
	if err != nil {
		return nil, err
	}
	return runList{Runs: append([]run.Run{}, page.Runs...), Next: page.Next}, nil
}

func (s *Server) getRun(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.cfg.Client.Get(r.Context(), r.PathValue("run"))
}

// exists refuses runs that are not there.
func (s *Server) exists(r *http.Request) (string, error) {
	id := r.PathValue("run")
	_, err := s.cfg.Client.Get(r.Context(), id)
	return id, err
}

func (s *Server) getTasks(_ http.ResponseWriter, r *http.Request) (any, error) {
	id, err := s.exists(r)
	if err != nil {
		return nil, err
	}
	tasks, err := s.cfg.Client.Tasks(r.Context(), id)
	out := taskList{Tasks: make([]namedTask, len(tasks))}
	for i, t := range tasks {
		out.Tasks[i] = namedTask{t.ID, t}
	}
	return out, err
}

func (s *Server) getOutputs(_ http.ResponseWriter, r *http.Request) (any, error) {
	id, err := s.exists(r)
	if err != nil {
		return nil, err
	}
	all, err := s.cfg.Client.Outputs(r.Context(), id)
	if err != nil {
		return nil, err
	}
	if task := r.URL.Query().Get("task"); task != "" {
		one, there := all[task]
		if !there {
			return nil, &Error{http.StatusNotFound, "notFound", "task " + task + " has no result"}
		}
		return map[string]json.RawMessage{task: one}, nil
	}
	return all, nil
}

func (s *Server) getDefinition(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.cfg.Client.Definition(r.Context(), r.PathValue("run"))
}

func (s *Server) getArtifacts(_ http.ResponseWriter, r *http.Request) (any, error) {
	id, err := s.exists(r)
	if err != nil {
		return nil, err
	}
	all, err := s.cfg.Client.Artifacts(r.Context(), id)
	return map[string][]string{"artifacts": append([]string{}, all...)}, err
}

func (s *Server) getLog(_ http.ResponseWriter, r *http.Request) (any, error) {
	id, err := s.exists(r)
	if err != nil {
		return nil, err
	}
	limit, err := number(r, "limit", 500, 1000)
	if err != nil {
		return nil, err
	}
	after := r.URL.Query().Get("after")
	if after != "" && !entryForm.MatchString(after) {
		return nil, badRequest("after is %q, which is no id of an entry", after)
	}
	entries, err := s.cfg.Client.History(r.Context(), id, after, limit)
	out := entryList{Entries: make([]logEntry, len(entries))}
	for i, e := range entries {
		out.Entries[i] = logEntry(e)
	}
	return out, err
}

func (s *Server) getLines(_ http.ResponseWriter, r *http.Request) (any, error) {
	id, err := s.exists(r)
	if err != nil {
		return nil, err
	}
	q := r.URL.Query()
	if q.Get("task") == "" {
		return nil, badRequest("say of which task, as ?task=split[3]")
	}
	if after := q.Get("after"); after != "" && !entryForm.MatchString(after) {
		return nil, badRequest("after is %q, which is no id of a line", after)
	}
	lines, err := s.cfg.Client.Lines(r.Context(), id, q.Get("task"), q.Get("after"), 0)
	out := lineList{Lines: make([]logLine, len(lines))}
	for i, l := range lines {
		out.Lines[i] = logLine(l)
	}
	return out, err
}

func (s *Server) why(_ http.ResponseWriter, r *http.Request) (any, error) {
	reasons, err := s.cfg.Client.Why(r.Context(), r.PathValue("run"), r.URL.Query().Get("task"))
	return reasonList{append([]client.Reason{}, reasons...)}, err
}
