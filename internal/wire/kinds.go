package wire

import "github.com/orchis-run/orchis/internal/event"

// EventType says what an event on a stream reports. Package event has the table
// of all kinds, with who sends which.
type EventType = event.Kind

// The kinds of events that travel on a partition's event stream.
const (
	Started   = event.Started
	Progress  = event.Progress
	Succeeded = event.Succeeded
	Failed    = event.Failed
	Released  = event.Released
	Continue  = event.Continue
	Cancel    = event.Cancel
	Lost      = event.Lost
	Missing   = event.Missing
	Answered  = event.Answered
	Evicted   = event.Evicted
	Approve   = event.Approve
	Reject    = event.Reject
	Signal    = event.Signal
	Pause     = event.Pause
	Resume    = event.Resume
)
