package run

import "encoding/json"

// record is the JSON form of a run.
type record struct {
	ID          string            `json:"id"`
	State       State             `json:"state"`
	Recipe      string            `json:"recipe"`
	Definition  string            `json:"definition"`
	Inputs      json.RawMessage   `json:"inputs,omitempty"`
	Outputs     json.RawMessage   `json:"outputs,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	SubmittedBy string            `json:"submittedBy,omitempty"`
	Error       *Error            `json:"error,omitempty"`
	Stop        *Stop             `json:"stop,omitempty"`
	Created     int64             `json:"created"`
	Started     int64             `json:"started,omitempty"`
	Ended       int64             `json:"ended,omitempty"`
	Counts      Counts            `json:"counts"`
	Partition   int               `json:"partition"`
	Version     int64             `json:"version"`
}

// MarshalJSON writes the record for programs: inputs and outputs as the JSON
// they are, times as Unix milliseconds.
func (r Run) MarshalJSON() ([]byte, error) {
	return json.Marshal(record{
		ID: r.ID, State: r.State, Recipe: r.Recipe, Definition: r.Definition, Inputs: r.Inputs, Outputs: r.Outputs,
		Labels: r.Labels, SubmittedBy: r.SubmittedBy, Error: r.Error, Stop: r.Stop, Created: r.Created, Started: r.Started,
		Ended: r.Ended, Counts: r.Counts, Partition: r.Partition, Version: r.Version,
	})
}

// UnmarshalJSON reads what MarshalJSON has written.
func (r *Run) UnmarshalJSON(text []byte) error {
	var x record
	if err := json.Unmarshal(text, &x); err != nil {
		return err
	}
	*r = Run{
		ID: x.ID, State: x.State, Recipe: x.Recipe, Definition: x.Definition, Inputs: x.Inputs, Outputs: x.Outputs,
		Labels: x.Labels, SubmittedBy: x.SubmittedBy, Error: x.Error, Stop: x.Stop, Created: x.Created, Started: x.Started,
		Ended: x.Ended, Counts: x.Counts, Partition: x.Partition, Version: x.Version,
	}
	return nil
}
