package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/orchis-run/orchis/internal/wire"
)

func echo(ctx context.Context, k *kit) error {
	want := map[string]any{
		"text": "Grüße, 世界 \"quoted\" \\ \u0001", "number": 1.5, "whole": 9007199254740991, "negative": -3, "yes": true, "no": false,
		"nothing": nil, "list": []any{1, "two", []any{}}, "map": map[string]any{"a": map[string]any{}}, "empty": "",
	}
	ev, err := k.end(ctx, "echo", want, nil)
	if err != nil {
		return err
	}
	if ev.Type != wire.Succeeded {
		return fmt.Errorf("it reports %s: %s", ev.Type, told(ev))
	}
	raw, err := json.Marshal(want)
	if err != nil {
		return err
	}
	if diff := cmp.Diff(plain(raw), plain(ev.Result)); diff != "" {
		return fmt.Errorf("the result is not what went in (-in +out):\n%s", diff)
	}
	if ev.Started == 0 {
		return errors.New("the report does not say when the work began (started)")
	}
	return nil
}

// handlerVersion holds what a report says against the worker's entry, where a
// handler need not have a version.
func handlerVersion(ctx context.Context, k *kit) error {
	all, err := k.store.Workers(ctx)
	if err != nil {
		return err
	}
	want := ""
	for _, w := range all {
		for _, h := range w.Handlers {
			if w.Name == name && h.Name == "conformance.echo" {
				want = h.Version
			}
		}
	}
	ev, err := k.end(ctx, "echo", map[string]any{"a": 1}, nil)
	if err == nil && ev.HandlerVersion != want {
		err = fmt.Errorf("the report says handlerVersion %q, the entry of the worker says %q", ev.HandlerVersion, want)
	}
	return err
}

func plain(raw []byte) any {
	var v any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return err.Error()
	}
	return v
}

func fail(ctx context.Context, k *kit) error {
	ev, err := k.end(ctx, "fail", map[string]any{"code": "busy", "message": "not now", "permanent": true}, nil)
	switch {
	case err != nil:
		return err
	case ev.Type != wire.Failed || ev.Error == nil:
		return fmt.Errorf("it reports %s", ev.Type)
	case ev.Error.Code != "busy" || !strings.Contains(ev.Error.Message, "not now") || !ev.Permanent:
		return fmt.Errorf("it reports %q, %q, permanent %v; want busy, not now, true", ev.Error.Code, ev.Error.Message, ev.Permanent)
	}
	return nil
}

func unknownHandler(ctx context.Context, k *kit) error {
	ev, err := k.end(ctx, "unknown", map[string]any{}, nil)
	switch {
	case err != nil:
		return err
	case ev.Type != wire.Released || ev.Error == nil || ev.Error.Code != "handler":
		return fmt.Errorf("it reports %s (%s); want released with the code handler", ev.Type, told(ev))
	}
	return nil
}

func version(ctx context.Context, k *kit) error {
	t, err := k.publishRaw(ctx, "9")
	if err != nil {
		return err
	}
	if ev, err := k.await(ctx, t, Lease, nil); err == nil {
		return fmt.Errorf("it reports %s for a ticket of version 9", ev.Type)
	}
	return k.cleared(ctx, t)
}
