package wire

import "time"

// Figures are what stands in partitions at a moment.
type Figures struct {
	Queues map[string]Depth
	// Active runs are under way, Kept ones have ended. Timers are set, Events
	// are to be dealt with, Dead are the dead letters.
	Active, Kept, Timers, Events, Dead int64
}

// Depth is how much a queue holds.
type Depth struct {
	// Waiting tickets are with no worker, InFlight ones are; Oldest is the age
	// of the one that has been waiting longest.
	Waiting, InFlight int64
	Oldest            time.Duration
}
