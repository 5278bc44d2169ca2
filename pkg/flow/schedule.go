package flow

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Schedule starts runs of a definition at fixed times.
type Schedule struct {
	// Name distinguishes it from the other schedules of the definition; by default
	// its index in the list.
	Name string `json:"name"`
	// Cron has five fields, or is @hourly, @daily, @weekly, @monthly, @yearly.
	Cron     string `json:"cron"`
	Timezone string `json:"timezone"`
	// Overlap is what happens while the previous run has not ended: skip, queue,
	// allow or cancelOldest.
	Overlap string `json:"overlap"`
	// Catchup is how late a missed start may still happen.
	Catchup  time.Duration  `json:"catchup,omitempty"`
	Inputs   map[string]any `json:"inputs,omitempty"`
	Disabled bool           `json:"disabled,omitempty"`
}

var cronForm = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)

// Next returns the first time after t at which the schedule is due; zero when
// there is none within five years.
//
// A schedule with fixed hours follows local time. A time that the change to summer
// time skips happens at the same distance from midnight, and a time that occurs
// twice counts once. A schedule for every hour, or every few hours, follows elapsed
// time.
func (s *Schedule) Next(t time.Time) time.Time {
	rule, err := cronForm.Parse(s.Cron)
	if err != nil {
		return time.Time{}
	}
	zone, err := time.LoadLocation(s.Timezone)
	if err != nil {
		return time.Time{}
	}
	if s.everyHour() {
		return rule.Next(t.In(zone))
	}
	at := t.In(zone)
	wall := time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), at.Second(), 0, time.UTC)
	for range 10 {
		if wall = rule.Next(wall); wall.IsZero() {
			return wall
		}
		if next := onTheWall(wall, zone); next.After(t) {
			return next
		}
	}
	return time.Time{}
}

func (s *Schedule) everyHour() bool {
	fields := strings.Fields(s.Cron)
	if len(fields) < 2 {
		return s.Cron == "@hourly"
	}
	return strings.Contains(fields[1], "*")
}

// onTheWall returns the first instant at which the local time of a zone is wall. If
// there is none, it returns the instant at the same distance from midnight.
func onTheWall(wall time.Time, zone *time.Location) time.Time {
	_, before := wall.Add(-26 * time.Hour).In(zone).Zone()
	early := wall.Add(-time.Duration(before) * time.Second)
	best := early
	for _, probe := range []time.Time{early, early.Add(24 * time.Hour)} {
		_, offset := probe.In(zone).Zone()
		at := wall.Add(-time.Duration(offset) * time.Second)
		if _, is := at.In(zone).Zone(); is == offset {
			if at.Before(best) || best.Equal(early) && shows(at, wall, zone) && !shows(early, wall, zone) {
				best = at
			}
		}
	}
	return best.In(zone)
}

// shows reports whether the local time of a zone at an instant is wall.
func shows(at, wall time.Time, zone *time.Location) bool {
	at = at.In(zone)
	return at.Hour() == wall.Hour() && at.Minute() == wall.Minute() && at.Day() == wall.Day()
}

// asSchedules is a schedule, or a list of them.
func asSchedules(p *part[Schedule]) kind[draft] {
	return kind[draft]{schema: one(ref(p.name), listOf(ref(p.name))), read: func(d *draft, _ *draft, k, v *value) {
		items := []*value{v}
		if v.kind == listValue {
			items = v.items
		}
		names := map[string]bool{}
		for i, item := range items {
			s := p.start
			if p.fill(d, &s, k, item); s.Name == "" && len(items) > 1 {
				s.Name = strconv.Itoa(i)
			}
			if names[s.Name] {
				d.errorAt(item, "E101", fmt.Sprintf("there are two schedules named %q", s.Name), "")
			}
			names[s.Name] = true
			d.flow.Schedules = append(d.flow.Schedules, s)
			d.scheduled = append(d.scheduled, item)
		}
	}}
}

func schedulePart() part[Schedule] {
	p := newPart("schedule", "", []key[Schedule]{
		{"name", "The name that distinguishes it from other schedules.", as(ref("name"), func(s *Schedule) *string { return &s.Name }, (*draft).scheduleName)},
		{"cron", "Minute, hour, day of month, month, day of week; or @daily and the like.", as(typed("string"), func(s *Schedule) *string { return &s.Cron }, (*draft).cron)},
		{"timezone", "The time zone; by default UTC.", as(typed("string"), func(s *Schedule) *string { return &s.Timezone }, (*draft).timezone)},
		{"overlap", "What happens while the previous run has not ended.", asChoice(func(s *Schedule) *string { return &s.Overlap }, "skip", "queue", "allow", "cancelOldest")},
		{"catchup", "How late a missed start may still happen.", asDuration(func(s *Schedule) *time.Duration { return &s.Catchup })},
		{"inputs", "The inputs of its runs.", as(typed("object"), func(s *Schedule) *map[string]any { return &s.Inputs }, (*draft).plainMap)},
		{"enabled", "Whether it starts runs.", as(typed("boolean"), func(s *Schedule) *bool { return &s.Disabled }, (*draft).enabled)},
	})
	p.required = []string{"cron"}
	p.start = Schedule{Timezone: "UTC", Overlap: "skip"}
	p.check = func(d *draft, s *Schedule, _, v *value) {
		if s.Cron == "" {
			d.errorAt(v, "E105", "the schedule requires cron", "add `cron:`")
		}
	}
	return p
}

func (d *draft) scheduleName(to *string, k, v *value) {
	d.text(to, k, v)
	if !nameForm.MatchString(*to) {
		d.errorAt(v, "E106", fmt.Sprintf("%q is not a valid name for a schedule", *to), "")
	}
}

func (d *draft) cron(to *string, k, v *value) {
	d.text(to, k, v)
	if _, err := cronForm.Parse(*to); err != nil {
		d.errorAt(v, "E104", fmt.Sprintf("%q is not a schedule: %v", *to, err), `write minute, hour, day of month, month and day of week, as in "15 2 * * *"`)
	}
}

func (d *draft) timezone(to *string, k, v *value) {
	d.text(to, k, v)
	if _, err := time.LoadLocation(*to); err != nil || *to == "Local" {
		d.errorAt(v, "E104", fmt.Sprintf("there is no time zone %q", *to), "write a name such as Europe/Berlin, or UTC")
	}
}

// plainMap reads a map of any values without expressions.
func (d *draft) plainMap(to *map[string]any, k, v *value) {
	given, ok := v.plain().(map[string]any)
	if !ok {
		d.wrongType(v, k.text, "a map")
	}
	*to = given
}

// enabled reads the opposite of disabled.
func (d *draft) enabled(disabled *bool, k, v *value) {
	on := !*disabled
	d.boolean(&on, k, v)
	*disabled = !on
}

// checkSchedules checks the inputs of schedules against the declared inputs.
func (d *draft) checkSchedules() {
	if d.inputs == nil {
		return
	}
	for i, s := range d.flow.Schedules {
		_, problems := d.flow.ResolveInputs(s.Inputs, time.Unix(0, 0))
		for _, p := range problems {
			at, hint := d.scheduled[i], ""
			if _, there := s.Inputs[p.Name]; there {
				at = at.at([]any{"inputs", p.Name})
			} else {
				hint = "give it under `inputs:` of the schedule, or give it a default"
			}
			d.errorAt(at, "E205", "the schedule's inputs: "+p.Error(), hint)
		}
	}
}
