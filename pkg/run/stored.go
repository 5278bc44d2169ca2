package run

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// What stands in Redis by the million leaves out what can be told from the
// rest. The JSON that programs are given, by the tags of Task and Change, leaves
// out nothing.

// defaultQueue is that of a stored task which names none.
const defaultQueue = "default"

// storedTask is a task as it is stored: without its queue when that is the
// usual one, without First when the first attempt is the newest, and without
// Attempt when it is 1, or 0 before the first. Started and Ended are stored as
// milliseconds after Queued. Absent and empty are not the same here.
type storedTask struct {
	Task

	Queue   *string `json:"queue,omitempty"`
	First   *int64  `json:"first,omitempty"`
	Attempt *int    `json:"attempt,omitempty"`
	Started *int64  `json:"started,omitempty"`
	Ended   *int64  `json:"ended,omitempty"`
	// Result is for Redis alone: programs are given results apart.
	Result json.RawMessage `json:"result,omitempty"`
}

// storedChange is a change as it stands in an entry of the log: without a time
// when it is that of the entry, and without the attempt when it is the first
// one of a task. Started is stored as milliseconds after At, so it is negative.
type storedChange struct {
	Change

	At      *int64 `json:"at,omitempty"`
	Attempt *int   `json:"attempt,omitempty"`
	Started *int64 `json:"started,omitempty"`
}

// usualAttempt is that of a stored task which names none: 1 once it was
// published.
func (t *Task) usualAttempt() int {
	if t.Queued == 0 {
		return 0
	}
	return 1
}

// defaultAttempt is that of a stored change which names none.
func (c *Change) defaultAttempt() int {
	if c.Task == "" {
		return 0
	}
	return 1
}

// ParseTask reads a record of the tasks hash.
func ParseTask(id, text string) (Task, error) {
	var s storedTask
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return Task{ID: id}, fmt.Errorf("read the record of task %s: %w", id, err)
	}
	t := s.Task
	t.ID, t.Queue, t.First, t.Result = id, defaultQueue, t.Queued, s.Result
	if s.Queue != nil {
		t.Queue = *s.Queue
	}
	if s.First != nil {
		t.First = *s.First
	}
	if t.Attempt = t.usualAttempt(); s.Attempt != nil {
		t.Attempt = *s.Attempt
	}
	if s.Started != nil {
		t.Started = t.Queued + *s.Started
	}
	if s.Ended != nil {
		t.Ended = t.Queued + *s.Ended
	}
	if !slices.Contains(TaskStates(), t.State) {
		return t, fmt.Errorf("read the record of task %s: the state %q is not known", id, t.State)
	}
	return t, nil
}

// ParseChanges reads what EncodeChanges has written.
func ParseChanges(text []byte) ([]Change, error) {
	var parts []json.RawMessage
	if err := json.Unmarshal(text, &parts); err != nil {
		return nil, err
	}
	if len(parts) == 0 {
		return nil, errors.New("it has no time")
	}
	var at int64
	if err := json.Unmarshal(parts[0], &at); err != nil {
		return nil, err
	}
	changes := make([]Change, len(parts)-1)
	for i, part := range parts[1:] {
		var s storedChange
		if err := json.Unmarshal(part, &s); err != nil {
			return nil, err
		}
		c := &changes[i]
		*c = s.Change
		c.At, c.Attempt = at, c.defaultAttempt()
		if s.At != nil {
			c.At = *s.At
		}
		if s.Attempt != nil {
			c.Attempt = *s.Attempt
		}
		if s.Started != nil {
			c.Started = c.At + *s.Started
		}
	}
	return changes, nil
}
