package run

import (
	"encoding/json"
	"fmt"
	"slices"
)

// What stands in Redis by the million leaves out what can be told from the
// rest. The JSON that programs are given, by the tags of Task, leaves out nothing.

// usualQueue is that of a stored task which names none.
const usualQueue = "default"

// storedTask is a task as it is stored: without its queue when that is the
// usual one, and without First when the first attempt is the newest. Absent and
// empty are not the same here.
type storedTask struct {
	Task

	Queue *string `json:"queue,omitempty"`
	First *int64  `json:"first,omitempty"`
}

// ParseTask reads a record of the tasks hash.
func ParseTask(id, text string) (Task, error) {
	var s storedTask
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return Task{ID: id}, fmt.Errorf("read the record of task %s: %w", id, err)
	}
	t := s.Task
	t.ID, t.Queue, t.First = id, usualQueue, t.Queued
	if s.Queue != nil {
		t.Queue = *s.Queue
	}
	if s.First != nil {
		t.First = *s.First
	}
	if !slices.Contains(TaskStates(), t.State) {
		return t, fmt.Errorf("read the record of task %s: the state %q is not known", id, t.State)
	}
	return t, nil
}
