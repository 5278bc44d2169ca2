package daemon

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/zap"
)

// TestAWorkerBeginsAgain when Redis does not let it start, for a while, and not
// when waiting cannot help.
func TestAWorkerBeginsAgain(t *testing.T) {
	t.Parallel()
	full, wrong := errors.New("start worker w: OOM command not allowed"), errors.New("start worker w: NOAUTH")
	for name, c := range map[string]struct {
		results []error
		most    time.Duration
		ends    bool
		want    error
		tries   int
	}{
		"full for a moment":  {results: []error{full, full, nil}, most: time.Hour, tries: 3},
		"waiting helps not":  {results: []error{wrong}, most: time.Hour, want: wrong, tries: 1},
		"full for too long":  {results: []error{full}, want: full, tries: 1},
		"stopped meanwhile":  {results: []error{full}, most: time.Hour, ends: true, tries: 1},
		"at once, as mostly": {results: []error{nil}, most: time.Hour, tries: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			pause, tries := time.Millisecond, 0
			if c.ends {
				pause = time.Hour
			}
			err := patient(func(context.Context) error {
				tries++
				if c.ends {
					stop()
				}
				return c.results[tries-1]
			}, c.most, pause, zap.NewNop())(ctx)
			if !errors.Is(err, c.want) || tries != c.tries {
				t.Errorf("after %d tries it ends with %v", tries, err)
			}
		})
	}
}
