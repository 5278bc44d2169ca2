package api

import (
	"context"
	"net/http"

	"github.com/orchis-run/orchis/pkg/client"
)

// by is who asks for something when the body does not say.
const by = "api"

func (s *Server) accepted(ctx context.Context, request client.Request) (string, error) {
	if request.By == "" {
		request.By = by
	}
	return s.cfg.Client.Start(ctx, request)
}

func (s *Server) submit(_ http.ResponseWriter, r *http.Request) (any, error) {
	var in submission
	if err := read(r, &in); err != nil {
		return nil, err
	}
	if (in.Recipe == "") == (in.Definition == "") {
		return nil, badRequest("give either recipe or definition")
	}
	id, err := s.accepted(r.Context(), client.Request{
		Recipe: in.Recipe, Definition: in.Definition, Inputs: in.Inputs, ID: in.ID, Key: in.Key, By: in.By, Labels: in.Labels, NoCache: in.NoCache,
	})
	return started{id}, err
}

func (s *Server) rerun(_ http.ResponseWriter, r *http.Request) (any, error) {
	var in wish
	if err := read(r, &in); err != nil {
		return nil, err
	}
	id, err := s.accepted(r.Context(), client.Request{From: r.PathValue("run"), By: in.By})
	return started{id}, err
}

func (s *Server) retry(_ http.ResponseWriter, r *http.Request) (any, error) {
	var in retrial
	if err := read(r, &in); err != nil {
		return nil, err
	}
	id := r.PathValue("run")
	plan, err := s.cfg.Client.PlanRetry(r.Context(), id, client.Changes{From: in.From, Inputs: in.Inputs})
	if err != nil {
		return nil, err
	}
	out := retried{Plan: append([]client.Verdict{}, plan...)}
	if in.DryRun {
		return out, nil
	}
	out.Run, err = s.accepted(r.Context(), client.Request{From: id, By: in.By, Inputs: in.Inputs, Retry: &client.Retry{From: in.From}})
	return out, err
}

// wanted makes the handler of an operator's wish.
func wanted(op string) func(*Server, http.ResponseWriter, *http.Request) (any, error) {
	return func(s *Server, _ http.ResponseWriter, r *http.Request) (any, error) {
		var in wish
		if err := read(r, &in); err != nil {
			return nil, err
		}
		return nil, s.Want(r.Context(), client.Control{
			Op: op, Run: r.PathValue("run"), Queue: r.PathValue("queue"), Schedule: r.PathValue("schedule"),
			Job: in.Job, By: in.By, Reason: in.Reason, Signal: in.Signal, Data: in.Data,
		})
	}
}

// Want passes a wish on and waits for its answer.
func (s *Server) Want(ctx context.Context, c client.Control) error {
	if c.By == "" {
		c.By = by
	}
	if c.Op == "signal" && c.Signal == "" {
		return badRequest("say which signal")
	}
	return s.cfg.Client.Do(ctx, c)
}

func (s *Server) requeue(_ http.ResponseWriter, r *http.Request) (any, error) {
	var in wish
	if err := read(r, &in); err != nil {
		return nil, err
	}
	if in.By == "" {
		in.By = by
	}
	id, err := s.cfg.Client.Requeue(r.Context(), r.PathValue("letter"), in.By)
	return started{id}, err
}

func (s *Server) purge(_ http.ResponseWriter, r *http.Request) (any, error) {
	n, err := s.cfg.Client.PurgeDead(r.Context(), r.PathValue("letter"))
	if err == nil && n == 0 {
		err = &Error{http.StatusNotFound, "notFound", "there is no dead letter " + r.PathValue("letter")}
	}
	return nil, err
}

func (s *Server) trigger(_ http.ResponseWriter, r *http.Request) (any, error) {
	var in wish
	if err := read(r, &in); err != nil {
		return nil, err
	}
	if in.By == "" {
		in.By = by
	}
	id, err := s.cfg.Client.TriggerSchedule(r.Context(), r.PathValue("schedule"), in.By, in.Reason)
	return started{id}, err
}
