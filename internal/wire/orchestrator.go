package wire

import "time"

// Orchestrator is the entry of an orchestrator in the registry.
type Orchestrator struct {
	Name    string `json:"name"`
	Host    string `json:"host"`
	PID     int    `json:"pid"`
	Version string `json:"version,omitempty"`
	// Started and Seen are Unix milliseconds by the clock of Redis. Seen is the
	// last time the orchestrator renewed its entry.
	Started int64 `json:"started"`
	Seen    int64 `json:"seen"`
	// Stopped is set when the orchestrator has shut down. Its entry stays for a
	// while, so that people can see when the last orchestrator was there.
	Stopped bool `json:"stopped,omitempty"`
}

// An orchestrator renews its entry every OrchestratorRenews and counts as dead
// when it has missed four renewals.
const (
	OrchestratorRenews = 3 * time.Second
	orchestratorDies   = 4 * OrchestratorRenews
)

// Alive reports whether the orchestrator is running, at a time of the clock of
// Redis.
func (o *Orchestrator) Alive(now time.Time) bool {
	return !o.Stopped && now.Sub(time.UnixMilli(o.Seen)) <= orchestratorDies
}
