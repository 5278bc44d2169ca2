package web

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/orchis-run/orchis/internal/api"
	"github.com/orchis-run/orchis/pkg/client"
)

// mostChosen is how many runs can be chosen at once: a page of them.
const mostChosen = 500

// actOnRuns does the same to all runs that were chosen. What goes wrong with one
// does not keep the others from it.
func (s *site) actOnRuns(r *http.Request) (string, error) {
	op := r.FormValue("op")
	chosen := r.PostForm["run"]
	switch {
	case op != "cancel" && op != "pause" && op != "resume" && op != "retry":
		return "", unknown(op)
	case len(chosen) == 0:
		return "", &api.Error{Status: http.StatusBadRequest, Code: "badRequest", Message: "no run is chosen"}
	case len(chosen) > mostChosen:
		return "", &api.Error{Status: http.StatusBadRequest, Code: "badRequest", Message: fmt.Sprintf("at most %d runs at once", mostChosen)}
	}
	var first error
	failed := 0
	for _, id := range chosen {
		if err := s.actOnOne(r, op, id); err != nil {
			failed++
			if first == nil {
				first = err
			}
		}
	}
	if first == nil {
		return "", nil
	}
	var e *api.Error
	if !errors.As(first, &e) {
		e = api.ErrorOf(first)
	}
	return "", &api.Error{Status: e.Status, Code: e.Code, Message: fmt.Sprintf("%d of %d could not: %s", failed, len(chosen), e.Message)}
}

func (s *site) actOnOne(r *http.Request, op, id string) error {
	if op != "retry" {
		return s.api.Want(r.Context(), client.Control{Op: op, Run: id, By: who})
	}
	_, err := s.api.Client().Start(r.Context(), client.Request{From: id, By: who, Retry: &client.Retry{}})
	return err
}
