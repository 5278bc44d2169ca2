package wire

import (
	"encoding/json"
	"time"
)

// Worker is the entry of a worker in the registry.
type Worker struct {
	Name     string        `json:"name"`
	Host     string        `json:"host"`
	PID      int           `json:"pid"`
	Version  string        `json:"version"`
	Slots    int           `json:"slots"`
	Busy     int           `json:"busy"`
	Queues   []string      `json:"queues"`
	Handlers []HandlerInfo `json:"handlers"`
	Draining bool          `json:"draining,omitempty"`
	// Paused are queues of which the worker knows that they are.
	Paused  []string `json:"paused,omitempty"`
	Started int64    `json:"started"`
	// Seen is Unix milliseconds by the clock of Redis.
	Seen int64 `json:"seen"`
}

// A worker renews its entry every WorkerRenews and counts as dead when it has
// missed five renewals.
const (
	WorkerRenews = 3 * time.Second
	workerDies   = 5 * WorkerRenews
)

// Alive reports whether the worker is running, at a time of the clock of Redis.
func (w *Worker) Alive(now time.Time) bool {
	return now.Sub(time.UnixMilli(w.Seen)) <= workerDies
}

// HandlerInfo is a handler's contract: its name and the JSON Schemas of its
// inputs and outputs, where they are known.
type HandlerInfo struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	// Version names the handler's code: results of other versions are not used
	// again.
	Version string          `json:"version,omitempty"`
	Queue   string          `json:"queue,omitempty"`
	Inputs  json.RawMessage `json:"inputs,omitempty"`
	Outputs json.RawMessage `json:"outputs,omitempty"`
}
