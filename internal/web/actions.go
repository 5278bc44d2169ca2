package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/orchis-run/orchis/internal/api"
	"github.com/orchis-run/orchis/pkg/client"
)

// who is in the log for what is done on the dashboard.
const who = "dashboard"

func durationOf(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }

func unknown(op string) error {
	return &api.Error{Status: http.StatusBadRequest, Code: "badRequest", Message: fmt.Sprintf("there is no action %q", op)}
}

func (s *site) actOnRun(r *http.Request) (string, error) {
	id, op := r.PathValue("run"), r.FormValue("op")
	here := s.api.BasePath() + "/runs/" + id
	request := client.Request{From: id, By: who}
	switch op {
	case "cancel", "pause", "resume", "approve", "reject", "signal":
		c := client.Control{Op: op, Run: id, Job: r.FormValue("job"), By: who, Reason: r.FormValue("reason"), Signal: r.FormValue("signal")}
		if name := r.FormValue("by"); name != "" {
			c.By = name
		}
		data, err := formData(r)
		if err != nil {
			return "", err
		}
		c.Data = data
		return "", s.api.Want(r.Context(), c)
	case "retry":
		request.Retry = &client.Retry{From: r.FormValue("from")}
	case "rerun":
	default:
		return here, unknown(op)
	}
	next, err := s.api.Client().Start(r.Context(), request)
	if err != nil {
		return here, err
	}
	return s.api.BasePath() + "/runs/" + next, nil
}

// formData is what comes with an approval or a signal: fields data.NAME, or
// the field data as JSON.
func formData(r *http.Request) (any, error) {
	if text := strings.TrimSpace(r.FormValue("data")); text != "" {
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			return nil, &api.Error{Status: http.StatusBadRequest, Code: "badRequest", Message: "the data is not JSON: " + err.Error()}
		}
		return v, nil
	}
	var data map[string]any
	for key, values := range r.PostForm {
		if name, ok := strings.CutPrefix(key, "data."); ok && values[0] != "" {
			if data == nil {
				data = map[string]any{}
			}
			data[name] = values[0]
		}
	}
	if data == nil {
		return nil, nil
	}
	return data, nil
}

func (s *site) actOnQueue(r *http.Request) (string, error) {
	op := r.FormValue("op")
	if op != "pause" && op != "resume" {
		return "", unknown(op)
	}
	return "", s.api.Want(r.Context(), client.Control{Op: op, Queue: r.PathValue("queue"), By: who, Reason: r.FormValue("reason")})
}

func (s *site) actOnSchedule(r *http.Request) (string, error) {
	op, key := r.FormValue("op"), r.PathValue("schedule")
	switch op {
	case "pause", "resume":
		return "", s.api.Want(r.Context(), client.Control{Op: op, Schedule: key, By: who})
	case "trigger":
		id, err := s.api.Client().TriggerSchedule(r.Context(), key, who, "")
		if err != nil {
			return "", err
		}
		return s.api.BasePath() + "/runs/" + id, s.begun(r.Context(), id)
	}
	return "", unknown(op)
}

// begun waits for a run that was asked for to be there.
func (s *site) begun(ctx context.Context, id string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := s.api.Client().Get(ctx, id)
		if !errors.Is(err, client.ErrNotFound) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for run %s: %w", id, ctx.Err())
		case <-tick.C:
		}
	}
}

func (s *site) actOnDead(r *http.Request) (string, error) {
	letter := r.PathValue("letter")
	switch op := r.FormValue("op"); op {
	case "requeue":
		id, err := s.api.Client().Requeue(r.Context(), letter, who)
		if err != nil {
			return "", err
		}
		return s.api.BasePath() + "/runs/" + id, nil
	case "purge":
		_, err := s.api.Client().PurgeDead(r.Context(), letter)
		return "", err
	default:
		return "", unknown(op)
	}
}

// download gives all lines of a task as text.
func (s *site) download(w http.ResponseWriter, r *http.Request) {
	id, task := r.PathValue("run"), r.URL.Query().Get("task")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	after := ""
	for {
		lines, err := s.api.Client().Lines(r.Context(), id, task, after, 0)
		if err != nil || len(lines) == 0 {
			return
		}
		for _, l := range lines {
			after = l.ID
			if _, err := fmt.Fprintf(w, "%s %d %s\n", time.UnixMilli(l.At).UTC().Format(time.RFC3339Nano), l.Attempt, l.Text); err != nil {
				return
			}
		}
	}
}
