package expr

import (
	"maps"
	"math"
	"slices"
)

func fnKeys(c *call) (any, error) {
	m, ok := c.args[0].(map[string]any)
	if !ok {
		return nil, c.fail("wants a map, not %s", KindOf(c.args[0]))
	}
	out := make([]any, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, k)
	}
	return c.done(out, len(m))
}

func fnValues(c *call) (any, error) {
	m, ok := c.args[0].(map[string]any)
	if !ok {
		return nil, c.fail("wants a map, not %s", KindOf(c.args[0]))
	}
	out := make([]any, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, m[k])
	}
	return c.done(out, len(m))
}

func fnFlatten(c *call) (any, error) {
	out := []any{}
	for _, v := range c.list(0) {
		if l, ok := v.([]any); ok {
			out = append(out, l...)
		} else {
			out = append(out, v)
		}
		if len(out) > maxSteps {
			break
		}
	}
	return c.done(out, len(out))
}

func fnUnique(c *call) (any, error) {
	out, seen := []any{}, map[string]bool{}
	for _, v := range c.list(0) {
		raw, err := Encode(v)
		if err != nil {
			return nil, err
		}
		if !seen[string(raw)] {
			seen[string(raw)] = true
			out = append(out, v)
		}
		if err := c.m.spend(1 + len(raw)/16); err != nil {
			return nil, err
		}
	}
	return c.done(out, 0)
}

func fnSort(c *call) (any, error) {
	list := slices.Clone(c.list(0))
	var failed error
	slices.SortStableFunc(list, func(a, b any) int {
		o, err := c.m.compare(a, b)
		if err == nil {
			err = c.m.spend(1)
		}
		if err != nil && failed == nil {
			failed = err
		}
		return o
	})
	if failed != nil {
		return nil, failed
	}
	return c.done(list, 0)
}

func fnEnd(c *call, at int) (any, error) {
	list := c.list(0)
	if c.err != nil {
		return nil, c.err
	}
	if len(list) == 0 {
		return nil, c.m.missing(c.name+" of an empty list", "give a default: ?? null")
	}
	if at < 0 {
		at = len(list) - 1
	}
	return list[at], nil
}

func fnRange(c *call) (any, error) {
	from, to, by := 0.0, c.float(0), 1.0
	if len(c.args) > 1 {
		from, to = c.float(0), c.float(1)
	}
	if len(c.args) > 2 {
		by = c.float(2)
	}
	if c.err != nil {
		return nil, c.err
	}
	n := math.Ceil((to - from) / by)
	if by == 0 || n > maxRange {
		return nil, c.fail("would have more than %d elements", maxRange)
	}
	out := make([]any, 0, max(0, int(n)))
	for i := range max(0, int(n)) {
		out = append(out, whole(from+float64(i)*by))
	}
	return c.done(out, len(out))
}

// fnZip gathers the n-th elements of all lists: as lists of their own, or one
// after the other. Lists that are over end earlier than the longest.
func fnZip(c *call, flat bool) (any, error) {
	longest, total := 0, 0
	for i := range c.args {
		n := len(c.list(i))
		longest, total = max(longest, n), total+n
	}
	out := make([]any, 0, longest)
	for k := range longest {
		var row []any
		for i := range c.args {
			if l := c.list(i); k < len(l) {
				row = append(row, l[k])
			} else if !flat {
				row = append(row, nil)
			}
		}
		if flat {
			out = append(out, row...)
		} else {
			out = append(out, row)
		}
	}
	return c.done(out, total)
}

func fnChunk(c *call) (any, error) {
	list, size := c.list(0), int(c.float(1))
	if c.err == nil && size < 1 {
		return nil, c.fail("the size must be at least 1")
	}
	out := []any{}
	for i := 0; c.err == nil && i < len(list); i += size {
		out = append(out, slices.Clone(list[i:min(i+size, len(list))]))
	}
	return c.done(out, len(list))
}
