package worker_test

import (
	"context"
	"errors"

	"github.com/orchis-run/orchis/pkg/job"
	"github.com/orchis-run/orchis/pkg/worker"
)

type order struct {
	Name string `json:"name"`
}

// The README shows the type, and the body of this function.
func run(ctx context.Context) error {
	jobs := job.NewRegistry()
	job.Handle(jobs, "greet", func(_ context.Context, in order) (map[string]string, error) {
		if in.Name == "" {
			return nil, job.Permanent(errors.New("nobody to greet")) // no retry can help
		}
		return map[string]string{"text": "Hello " + in.Name}, nil
	})
	w, err := worker.New(worker.Config{URL: "redis://localhost:6379"}, jobs)
	if err != nil {
		return err
	}
	return w.Run(ctx) // until ctx ends; then it drains
}

func ExampleNew() {
	_ = run
}
