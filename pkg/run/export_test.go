package run

// StoredTask is for encoding/json what Encode writes.
func StoredTask(t Task) any {
	s := storedTask{Task: t, Result: t.Result}
	if t.Queue != defaultQueue {
		s.Queue = &t.Queue
	}
	if t.First != t.Queued {
		s.First = &t.First
	}
	if t.Attempt != t.usualAttempt() {
		s.Attempt = &t.Attempt
	}
	s.Started, s.Ended = since(t.Started, t.Queued), since(t.Ended, t.Queued)
	return s
}

// StoredChanges is for encoding/json what EncodeChanges writes.
func StoredChanges(changes ...Change) any {
	at := int64(0)
	if len(changes) > 0 {
		at = changes[0].At
	}
	out := []any{at}
	for _, c := range changes {
		s := storedChange{Change: c}
		if c.At != at {
			s.At = &c.At
		}
		if c.Attempt != c.defaultAttempt() {
			s.Attempt = &c.Attempt
		}
		s.Started = since(c.Started, c.At)
		out = append(out, s)
	}
	return out
}

func since(at, from int64) *int64 {
	if at == 0 {
		return nil
	}
	after := at - from
	return &after
}
