package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"
	_ "time/tzdata" // zones, also where the system has none

	"go.uber.org/zap"

	"github.com/orchis-run/orchis/internal/fact"
	"github.com/orchis-run/orchis/internal/wire"
	"github.com/orchis-run/orchis/pkg/flow"
)

const (
	// punctual is how late a start may be without counting as missed.
	punctual = time.Minute
	// rescan is how often the definitions are looked at for schedules.
	rescan = 15 * time.Second
	// keepSchedule is how long a schedule is remembered that is in no
	// definition any more.
	keepSchedule = 30 * 24 * time.Hour
	// mostStarts is the number of starts that are made up for at once.
	mostStarts = 100
)

// timetable is the schedules of the definitions.
type timetable struct {
	read time.Time
	list []planned
}

type planned struct {
	key, recipe string
	flow.Schedule
}

// schedule starts what is due. The owner of partition 0 does it; two that both
// believe to be do no harm, since the id of a run follows from its schedule and
// its time.
func (o *Orchestrator) schedule(ctx context.Context) error {
	if !o.owns(0) {
		return nil
	}
	if o.clock().Sub(o.times.read) > rescan {
		all, err := o.loader.List()
		if err != nil {
			return err
		}
		o.times = timetable{read: o.clock(), list: entries(all)}
	}
	known, err := o.store.Schedules(ctx)
	if err != nil {
		return err
	}
	paused, err := o.store.PausedSchedules(ctx)
	if err != nil {
		return err
	}
	now := o.now()
	for _, e := range o.times.list {
		s, there := known[e.key]
		s.Paused = nil
		if p, is := paused[e.key]; is {
			s.Paused = &p
		}
		delete(known, e.key)
		if err := o.scheduleOne(ctx, e, s, there, now); err != nil {
			return err
		}
	}
	for key, s := range known {
		if now.Sub(time.UnixMilli(s.Seen)) > keepSchedule {
			if err := o.store.RemoveSchedule(ctx, key); err != nil {
				return err
			}
		}
	}
	return nil
}

// entries gives each schedule its key.
func entries(all []flow.Summary) []planned {
	var out []planned
	for i := range all {
		base := path.Base(all[i].Path)
		name := strings.TrimSuffix(base, path.Ext(base))
		for _, s := range all[i].Schedules {
			key := name
			if s.Name != "" {
				key += "." + s.Name
			}
			out = append(out, planned{key: key, recipe: all[i].Path, Schedule: s})
		}
	}
	return out
}

// scheduleOne sees to one schedule and remembers it when that changed.
func (o *Orchestrator) scheduleOne(ctx context.Context, e planned, s wire.Schedule, there bool, now time.Time) error {
	if !there {
		s.Since, s.Seen = now.UnixMilli(), now.UnixMilli()
	}
	before := s
	s.Key, s.Recipe, s.Cron, s.Timezone, s.Disabled = e.key, e.recipe, e.Cron, e.Timezone, e.Disabled
	active := false
	if s.Run != "" {
		rec, err := o.store.Run(ctx, s.Run)
		switch {
		case err == nil:
			active = !rec.State.Final()
		case errors.Is(err, wire.ErrNotFound):
			// Perhaps the submission has not been answered yet.
			active = now.Sub(time.UnixMilli(s.Fired)) < punctual
		default:
			return err
		}
	}
	starts, stop := decideStarts(&e.Schedule, &s, active, now)
	if stop {
		c := wire.Control{Op: "cancel", Run: s.Run, By: "schedule " + e.key, Reason: "the next run is due"}
		if _, err := o.store.SendControl(ctx, c); err != nil {
			return err
		}
	}
	for _, at := range starts {
		id, err := o.startScheduled(ctx, e, at)
		if err != nil {
			return err
		}
		s.Run, s.Fired = id, at.UnixMilli()
	}
	s.Paused, before.Paused = nil, nil // it stands by itself
	if s == before && there {
		return nil
	}
	return o.store.PutSchedule(ctx, s)
}

func (o *Orchestrator) startScheduled(ctx context.Context, e planned, at time.Time) (string, error) {
	sub := wire.Submission{
		// mutant: schedule-fires-once (replace "-" by o.cfg.Name)
		ID: e.key + "-" + at.UTC().Format("20060102T150405Z"), Recipe: e.recipe, By: "schedule " + e.key,
		Labels: map[string]string{"schedule": e.key, "scheduledFor": at.UTC().Format(time.RFC3339)},
	}
	if len(e.Inputs) > 0 {
		text, err := jsonText(e.Inputs)
		if err != nil {
			return "", err
		}
		sub.Inputs = []byte(text)
	}
	o.log.Info("a schedule starts a run", zap.String("schedule", e.key), fact.Run(sub.ID), fact.Recipe(sub.Recipe))
	_, err := o.store.Submit(ctx, sub)
	return sub.ID, err
}

// decideStarts says for which times runs begin now, and whether the run before
// is to be cancelled. It moves what is remembered on, but for the run itself.
func decideStarts(rule *flow.Schedule, s *wire.Schedule, active bool, now time.Time) (starts []time.Time, stop bool) {
	due := missed(rule, s, now)
	next := rule.Next(now)
	s.Next = 0
	if !next.IsZero() && !rule.Disabled && s.Paused == nil {
		s.Next = next.UnixMilli()
	}
	if len(due) == 0 && s.Waiting > 0 && !active && s.Paused == nil && !rule.Disabled {
		due = []time.Time{time.UnixMilli(s.Waiting)}
	}
	if len(due) == 0 {
		return nil, false
	}
	newest := due[len(due)-1]
	switch {
	case rule.Overlap == "allow":
		return due, false
	case !active:
		s.Waiting = 0
		if rule.Overlap == "queue" && len(due) > 1 {
			s.Waiting = newest.UnixMilli()
			return due[:1], false
		}
		for _, at := range due[:len(due)-1] {
			s.Skipped, s.Why = at.UnixMilli(), "a later start was due, too"
		}
		return due[len(due)-1:], false
	case rule.Overlap == "cancelOldest":
		return due[len(due)-1:], true
	case rule.Overlap == "queue":
		if s.Waiting > 0 {
			s.Skipped, s.Why = s.Waiting, "a later start took its place in the queue"
		}
		s.Waiting = newest.UnixMilli()
		return nil, false
	}
	s.Skipped, s.Why = newest.UnixMilli(), "run "+s.Run+" was still under way"
	return nil, false
}

// missed returns the times since the last look at which the schedule was due
// and which are not too late.
func missed(rule *flow.Schedule, s *wire.Schedule, now time.Time) []time.Time {
	late := punctual + rule.Catchup
	from := time.UnixMilli(s.Seen)
	var due []time.Time
	for at := rule.Next(from); !at.IsZero() && !at.After(now); at = rule.Next(at) {
		s.Seen = at.UnixMilli()
		switch {
		case rule.Disabled:
		case s.Paused != nil:
			s.Skipped, s.Why = at.UnixMilli(), "the schedule was paused"
		case now.Sub(at) > late:
			s.Skipped, s.Why = at.UnixMilli(), "no orchestrator was there in time"
		default:
			due = append(due, at)
		}
	}
	if len(due) > mostStarts {
		due = due[len(due)-mostStarts:]
	}
	return due
}

// wishOfSchedule pauses, resumes or triggers a schedule.
func (o *Orchestrator) wishOfSchedule(ctx context.Context, c *wire.Control, now int64) error {
	known, err := o.store.Schedules(ctx)
	if err != nil {
		return err
	}
	paused, err := o.store.PausedSchedules(ctx)
	if err != nil {
		return err
	}
	p, isPaused := paused[c.Schedule]
	if _, there := known[c.Schedule]; !there {
		return o.refuse(ctx, c, fmt.Sprintf("there is no schedule %q", c.Schedule))
	}
	answer := wire.Answer{State: wire.Accepted}
	switch {
	case c.Op == "pause" && isPaused:
		return o.refuse(ctx, c, "the schedule is paused already, by "+p.By)
	case c.Op == "pause":
		err = o.store.PauseSchedule(ctx, c.Schedule, wire.Paused{By: c.By, Reason: c.Reason, At: now})
	case c.Op == "resume" && !isPaused:
		return o.refuse(ctx, c, "the schedule is not paused")
	case c.Op == "resume":
		err = o.store.ResumeSchedule(ctx, c.Schedule)
	case c.Op == "trigger":
		if answer.Run, err = o.trigger(ctx, c); answer.Run == "" {
			return err
		}
	default:
		return o.refuse(ctx, c, fmt.Sprintf("the op %q is not for schedules: write pause, resume or trigger", c.Op))
	}
	if err != nil {
		return err
	}
	o.log.Info("schedule", zap.String("op", c.Op), zap.String("schedule", c.Schedule), zap.String("by", c.By), zap.String("reason", c.Reason))
	return o.answerControl(ctx, c, answer)
}

// trigger starts a run of a schedule at once; its id follows from the wish.
func (o *Orchestrator) trigger(ctx context.Context, c *wire.Control) (string, error) {
	all, err := o.loader.List()
	if err != nil {
		return "", err
	}
	for _, e := range entries(all) {
		if e.key != c.Schedule {
			continue
		}
		sub := wire.Submission{ID: e.key + "-" + c.Entry, Recipe: e.recipe, By: c.By, Labels: map[string]string{"schedule": e.key, "triggeredBy": c.By}}
		if len(e.Inputs) > 0 {
			text, err := jsonText(e.Inputs)
			if err != nil {
				return "", err
			}
			sub.Inputs = []byte(text)
		}
		_, err := o.store.Submit(ctx, sub)
		return sub.ID, err
	}
	return "", o.refuse(ctx, c, fmt.Sprintf("the schedule %q is in no definition any more", c.Schedule))
}
