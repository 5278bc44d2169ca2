package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"time"

	"github.com/orchis-run/orchis/internal/redisstore"
	"github.com/orchis-run/orchis/pkg/client"
)

var entryForm = regexp.MustCompile(`^\d+(-\d+)?$`)

// events sends the entries of a run's log as they come. Their ids are those of
// the log, so that a reader whose connection broke goes on where it was
// (Last-Event-ID). A comment every 15 s keeps proxies from closing it.
func (s *Server) events(w http.ResponseWriter, r *http.Request) (any, error) {
	id, err := s.exists(r)
	if err != nil {
		return nil, err
	}
	after := r.Header.Get("Last-Event-ID")
	if text := r.URL.Query().Get("after"); after == "" {
		after = text
	}
	if after != "" && !entryForm.MatchString(after) {
		return nil, badRequest("Last-Event-ID is %q, which is no id of an entry", after)
	}
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	if _, err := fmt.Fprint(w, "retry: 1000\n\n"); err != nil || out.Flush() != nil {
		return nil, nil //nolint:nilerr // nobody is there any more
	}
	for quiet := 0; r.Context().Err() == nil; {
		entries, err := s.cfg.Client.Log(r.Context(), id, after, 200, time.Second)
		if redisstore.IsRetryable(err) {
			<-time.After(time.Second)
			continue
		}
		if err != nil {
			return nil, nil //nolint:nilerr // the head of the answer is written
		}
		if quiet++; len(entries) == 0 && quiet >= 15 {
			quiet = 0
			if _, err := fmt.Fprint(w, ": still here\n\n"); err != nil || out.Flush() != nil {
				return nil, nil //nolint:nilerr // as above
			}
		}
		for _, e := range entries {
			after = e.ID
			if over, err := sendEntry(w, e); over || err != nil {
				return nil, errors.Join(err, out.Flush())
			}
		}
		if len(entries) > 0 {
			quiet = 0
			if err := out.Flush(); err != nil {
				return nil, nil //nolint:nilerr // nobody is there any more
			}
			continue
		}
		over, err := s.cfg.Client.Over(r.Context(), id, after)
		if errors.Is(err, client.ErrNotFound) {
			return nil, nil // the run was deleted
		}
		if over {
			return nil, errors.Join(sendEnd(w), out.Flush())
		}
	}
	return nil, nil
}

// sendEntry writes one entry and reports whether the run ended with it.
func sendEntry(w http.ResponseWriter, e client.LogEntry) (over bool, err error) {
	raw, err := json.Marshal(e.Changes)
	if err != nil {
		return false, err
	}
	if _, err := fmt.Fprintf(w, "id: %s\nevent: changes\ndata: %s\n\n", e.ID, raw); err != nil {
		return false, err
	}
	for _, ch := range e.Changes {
		over = over || ch.Run.Final()
	}
	if over {
		err = sendEnd(w)
	}
	return over, err
}

func sendEnd(w http.ResponseWriter) error {
	_, err := fmt.Fprint(w, "event: end\ndata: {}\n\n")
	return err
}
