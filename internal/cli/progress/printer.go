package progress

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/orchis-run/orchis/pkg/flow"
	"github.com/orchis-run/orchis/pkg/run"
)

// Printer shows the progress of one run. It is used by one goroutine.
type Printer interface {
	// Changes shows what one entry of the run's log says.
	Changes(now time.Time, changes []run.Change) error
	// Tick is called a few times a second, so that elapsed times move.
	Tick(now time.Time) error
	// Aside shows a remark that is not about the run.
	Aside(now time.Time, text string) error
	// Close shows how the run stands and leaves the terminal in order.
	Close(now time.Time) error
}

// Options say what a printer knows besides the log.
type Options struct {
	Run    string // run id
	Recipe string
	// Bundle is the run's definition; nil when it is not known.
	Bundle *flow.Bundle
	// Size returns the terminal's columns and rows.
	Size func() (columns, rows int)
	// Clock, if given, says when something was; else plain lines have the time
	// since the run was created.
	Clock func(ms int64) string
}

// JSON writes each change as one line of JSON.
func JSON(w io.Writer, o Options) Printer { return &jsonLines{out: json.NewEncoder(w), run: o.Run} }

type jsonLines struct {
	out *json.Encoder
	run string
}

func (p *jsonLines) Changes(_ time.Time, changes []run.Change) error {
	for _, c := range changes {
		if err := p.out.Encode(struct {
			RunID string `json:"runId"`
			run.Change
		}{p.run, c}); err != nil {
			return fmt.Errorf("write progress: %w", err)
		}
	}
	return nil
}

func (p *jsonLines) Tick(time.Time) error { return nil }

// Aside shows nothing: programs read the lines.
func (p *jsonLines) Aside(time.Time, string) error { return nil }
func (p *jsonLines) Close(time.Time) error         { return nil }

// Quiet shows nothing.
func Quiet() Printer { return quiet{} }

type quiet struct{}

func (quiet) Changes(time.Time, []run.Change) error { return nil }
func (quiet) Tick(time.Time) error                  { return nil }
func (quiet) Aside(time.Time, string) error         { return nil }
func (quiet) Close(time.Time) error                 { return nil }
