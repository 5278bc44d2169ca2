package run

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
)

// Fields returns the record as the fields of the run's hash: field, value,
// field, value and so on, in a fixed order. ID and Partition stand in the key
// and Version is written by the commit, so none of the three is among them.
// Empty values are written too, so that a later record always hides an
// earlier one.
func (r *Run) Fields() []string {
	return []string{
		"state", string(r.State),
		"recipe", r.Recipe,
		"definition", r.Definition,
		"inputs", string(r.Inputs),
		"outputs", string(r.Outputs),
		"labels", jsonText(len(r.Labels) > 0, r.Labels),
		"by", r.SubmittedBy,
		"error", jsonText(r.Error != nil, r.Error),
		"stop", jsonText(r.Stop != nil, r.Stop),
		"created", strconv.FormatInt(r.Created, 10),
		"started", strconv.FormatInt(r.Started, 10),
		"ended", strconv.FormatInt(r.Ended, 10),
		"counts", r.Counts.encode(),
		"wait", jsonText(r.Wait != nil, r.Wait),
		"slot", jsonText(r.Slot != nil, r.Slot),
		"paused", jsonText(r.Paused != nil, r.Paused),
		"signals", jsonText(len(r.Signals) > 0, r.Signals),
		"noCache", jsonText(r.NoCache, r.NoCache),
		"traceparent", r.Trace,
		"inbox", r.Inbox,
	}
}

// ChangedFields returns those of the record's fields that differ from an
// older record of the same run.
func (r *Run) ChangedFields(old *Run) []string {
	var changed []string
	set := func(differs bool, name string, value func() string) {
		if differs {
			changed = append(changed, name, value())
		}
	}
	object := func(name string, there bool, now, before any) {
		if there && !reflect.DeepEqual(now, before) {
			changed = append(changed, name, jsonText(!reflect.ValueOf(now).IsZero(), now))
		}
	}
	number := func(name string, now, before int64) {
		set(now != before, name, func() string { return strconv.FormatInt(now, 10) })
	}
	text := func(name, now, before string) { set(now != before, name, func() string { return now }) }
	raw := func(name string, now, before []byte) {
		set(!bytes.Equal(now, before), name, func() string { return string(now) })
	}
	text("state", string(r.State), string(old.State))
	text("recipe", r.Recipe, old.Recipe)
	text("definition", r.Definition, old.Definition)
	raw("inputs", r.Inputs, old.Inputs)
	raw("outputs", r.Outputs, old.Outputs)
	set(!maps.Equal(r.Labels, old.Labels), "labels", func() string { return jsonText(len(r.Labels) > 0, r.Labels) })
	text("by", r.SubmittedBy, old.SubmittedBy)
	object("error", r.Error != nil || old.Error != nil, r.Error, old.Error)
	object("stop", r.Stop != nil || old.Stop != nil, r.Stop, old.Stop)
	number("created", r.Created, old.Created)
	number("started", r.Started, old.Started)
	number("ended", r.Ended, old.Ended)
	set(r.Counts != old.Counts, "counts", r.Counts.encode)
	object("wait", r.Wait != nil || old.Wait != nil, r.Wait, old.Wait)
	object("slot", r.Slot != nil || old.Slot != nil, r.Slot, old.Slot)
	object("paused", r.Paused != nil || old.Paused != nil, r.Paused, old.Paused)
	object("signals", len(r.Signals)+len(old.Signals) > 0, r.Signals, old.Signals)
	set(r.NoCache != old.NoCache, "noCache", func() string { return jsonText(r.NoCache, r.NoCache) })
	text("traceparent", r.Trace, old.Trace)
	text("inbox", r.Inbox, old.Inbox)
	return changed
}

// jsonText encodes plain data, which cannot fail; empty when not wanted.
func jsonText(wanted bool, v any) string {
	if !wanted {
		return ""
	}
	text, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(text)
}

// Parse reads the fields of a run's hash. Unknown fields are ignored; a field
// that does not hold what it should is an error.
func Parse(id string, partition int, fields map[string]string) (Run, error) {
	r := Run{
		ID: id, Partition: partition,
		State:       State(fields["state"]),
		Recipe:      fields["recipe"],
		Definition:  fields["definition"],
		Inputs:      bytesOf(fields["inputs"]),
		Outputs:     bytesOf(fields["outputs"]),
		SubmittedBy: fields["by"],
		Trace:       fields["traceparent"],
		Inbox:       fields["inbox"],
	}
	numbers := []struct {
		name string
		to   *int64
	}{
		{"version", &r.Version},
		{"created", &r.Created},
		{"started", &r.Started},
		{"ended", &r.Ended},
	}
	for _, n := range numbers {
		text := fields[n.name]
		if text == "" {
			continue
		}
		v, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return r, fmt.Errorf("read field %q of run %s: %w", n.name, id, err)
		}
		*n.to = v
	}
	objects := []struct {
		name string
		to   any
	}{
		{"labels", &r.Labels},
		{"error", &r.Error},
		{"stop", &r.Stop},
		{"counts", &r.Counts},
		{"paused", &r.Paused},
		{"wait", &r.Wait},
		{"slot", &r.Slot},
		{"signals", &r.Signals},
		{"noCache", &r.NoCache},
	}
	for _, o := range objects {
		text := fields[o.name]
		if text == "" {
			continue
		}
		if err := json.Unmarshal([]byte(text), o.to); err != nil {
			return r, fmt.Errorf("read field %q of run %s: %w", o.name, id, err)
		}
	}
	if !slices.Contains(States(), r.State) {
		return r, fmt.Errorf("read the record of run %s: the state %q is not known", id, r.State)
	}
	return r, nil
}

func bytesOf(s string) []byte {
	if s == "" {
		return nil
	}
	return []byte(s)
}
