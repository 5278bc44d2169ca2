package client_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/pkg/client"
)

func TestASubmissionThatNobodyAnswersEndsWithTheCause(t *testing.T) {
	t.Parallel()
	c, err := client.Open(t.Context(), client.Config{URL: redistest.Embedded(t).URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	entry, err := c.Submit(t.Context(), client.Request{Recipe: "hello"})
	if err != nil {
		t.Fatal(err)
	}
	nobody := errors.New("nobody answers")
	for range 20 { // the time runs out in a pause between two questions, or in a question
		ctx, stop := context.WithTimeoutCause(t.Context(), 11*time.Millisecond, nobody)
		_, err = c.Accepted(ctx, entry)
		stop()
		if !errors.Is(err, nobody) {
			t.Fatalf("it ends with %v", err)
		}
	}
	ended, end := context.WithCancelCause(t.Context())
	end(nobody)
	if _, err = c.Accepted(ended, entry); !errors.Is(err, nobody) {
		t.Errorf("when the time is over at the beginning, it ends with %v", err)
	}
}
