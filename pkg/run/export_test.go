package run

// StoredTask is for encoding/json what Encode writes.
func StoredTask(t Task) any {
	s := storedTask{Task: t}
	if t.Queue != usualQueue {
		s.Queue = &t.Queue
	}
	if t.First != t.Queued {
		s.First = &t.First
	}
	return s
}
