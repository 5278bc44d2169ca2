package wire

// Schedule is what is remembered of a schedule.
type Schedule struct {
	// Key is the name of the definition, and after a dot that of the schedule
	// when there is more than one.
	Key      string `json:"key"`
	Recipe   string `json:"recipe"`
	Cron     string `json:"cron"`
	Timezone string `json:"timezone"`
	Disabled bool   `json:"disabled,omitempty"`
	// Since is when it was first seen, Seen when it was last looked at: what
	// was due in between has been seen to. Next is when it is due again. All
	// are Unix milliseconds.
	Since int64 `json:"since"`
	Seen  int64 `json:"seen"`
	Next  int64 `json:"next,omitempty"`
	// Run is the newest run it started, at Fired; Waiting is when a start was
	// due that waits for that run to end.
	Run     string `json:"run,omitempty"`
	Fired   int64  `json:"fired,omitempty"`
	Waiting int64  `json:"waiting,omitempty"`
	// Skipped is the newest start that did not take place, and Why.
	Skipped int64   `json:"skipped,omitempty"`
	Why     string  `json:"why,omitempty"`
	Paused  *Paused `json:"paused,omitempty"`
}
