package expr

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// function is what an expression can call.
type function struct {
	least, most int // number of values; most < 0 is any number
	usage       string
	call        func(*call) (any, error)
}

// call is one call with its values; its getters note the first wrong one.
type call struct {
	m    *machine
	name string
	args []any
	err  error
}

func (c *call) fail(format string, args ...any) error {
	if c.err == nil {
		c.err = c.m.e.fail(c.name+": "+fmt.Sprintf(format, args...), "")
	}
	return c.err
}

func (c *call) text(i int) string {
	s, ok := c.args[i].(string)
	if !ok {
		_ = c.fail("wants a text, not %s", KindOf(c.args[i]))
	}
	return s
}

func (c *call) list(i int) []any {
	l, ok := c.args[i].([]any)
	if !ok {
		_ = c.fail("wants a list, not %s", KindOf(c.args[i]))
	}
	return l
}

func (c *call) float(i int) float64 {
	f, ok := asFloat(c.args[i])
	if !ok {
		_ = c.fail("wants a number, not %s", KindOf(c.args[i]))
	}
	return f
}

// done returns the value unless something was wrong.
func (c *call) done(v any, size int) (any, error) {
	if c.err != nil {
		return nil, c.err
	}
	return v, c.m.spend(size + 1)
}

// Functions lists the functions of expressions, map and filter included.
func Functions() []string {
	names := append(slices.Collect(maps.Keys(functions())), "map", "filter")
	slices.Sort(names)
	return names
}

// functions is the table; it is built on demand since it holds closures.
func functions() map[string]function {
	one := func(f func(*call) (any, error)) function { return function{1, 1, "one value", f} }
	two := func(f func(*call) (any, error)) function { return function{2, 2, "two values", f} }
	text := func(f func(string) string) function {
		return one(func(c *call) (any, error) { s := c.text(0); return c.done(f(s), len(s)/64) })
	}
	test := func(f func(a, b string) bool) function {
		return two(func(c *call) (any, error) {
			a, b := c.text(0), c.text(1)
			return c.done(f(a, b), len(a)/64)
		})
	}
	return map[string]function{
		"len": one(fnLen), "sum": one(fnSum), "abs": one(fnAbs), "int": one(fnInt), "float": one(fnFloat),
		"string": one(fnString), "json": one(fnJSON), "fromJson": one(fnFromJSON),
		"keys": one(fnKeys), "values": one(fnValues), "flatten": one(fnFlatten), "unique": one(fnUnique), "sort": one(fnSort),
		"first": one(func(c *call) (any, error) { return fnEnd(c, 0) }),
		"last":  one(func(c *call) (any, error) { return fnEnd(c, -1) }),
		"floor": one(func(c *call) (any, error) { return fnRound(c, math.Floor) }),
		"ceil":  one(func(c *call) (any, error) { return fnRound(c, math.Ceil) }),
		"round": {1, 2, "a number and, if wanted, the digits", fnRoundTo},
		"min":   {1, -1, "numbers or a list of them", func(c *call) (any, error) { return fnExtreme(c, -1) }},
		"max":   {1, -1, "numbers or a list of them", func(c *call) (any, error) { return fnExtreme(c, 1) }},
		"lower": text(strings.ToLower), "upper": text(strings.ToUpper), "trim": text(strings.TrimSpace),
		"basename": text(path.Base), "dirname": text(path.Dir), "ext": text(path.Ext),
		"sha256":     text(func(s string) string { h := sha256.Sum256([]byte(s)); return hex.EncodeToString(h[:]) }),
		"startsWith": test(strings.HasPrefix), "endsWith": test(strings.HasSuffix),
		"contains": two(func(c *call) (any, error) { return c.m.contains(c.args[0], c.args[1]) }),
		"matches":  two(fnMatches), "split": two(fnSplit), "join": {1, 2, "a list and a separator", fnJoin},
		"replace":    {3, 3, "a text, what to replace and by what", fnReplace},
		"range":      {1, 3, "an end, or a start, an end and a step", fnRange},
		"zip":        {1, -1, "lists", func(c *call) (any, error) { return fnZip(c, false) }},
		"interleave": {1, -1, "lists", func(c *call) (any, error) { return fnZip(c, true) }},
		"chunk":      {2, 2, "a list and a size", fnChunk},
		"now":        {0, 0, "no value", func(c *call) (any, error) { return int(c.m.scope.Now().Unix()), nil }},
		"duration":   one(fnDuration), "date": one(fnDate), "format": {2, 2, "a time and a layout", fnFormat},
		"env":  one(fnEnv),
		"cond": {3, 3, "a condition and two values", nil},
	}
}

func fnEnv(c *call) (any, error) {
	name := c.text(0)
	v, _ := c.m.scope.Root("env")
	if c.err != nil {
		return nil, c.err
	}
	return c.m.walk(v, "env", []any{name})
}

func fnLen(c *call) (any, error) {
	switch v := c.args[0].(type) {
	case string:
		return len([]rune(v)), c.m.spend(len(v) / 64)
	case []any:
		return len(v), nil
	case map[string]any:
		return len(v), nil
	}
	return nil, c.fail("wants a text, a list or a map, not %s", KindOf(c.args[0]))
}

func fnSum(c *call) (any, error) {
	list := c.list(0)
	total := any(0)
	for _, v := range list {
		t, err := c.m.arithmetic("+", total, v)
		if err != nil {
			return nil, err
		}
		total = t
	}
	return c.done(total, len(list))
}

func fnAbs(c *call) (any, error) {
	if i, ok := c.args[0].(int); ok {
		return max(i, -i), nil
	}
	return c.done(math.Abs(c.float(0)), 0)
}

func fnExtreme(c *call, sign int) (any, error) {
	list := c.args
	if l, ok := c.args[0].([]any); ok && len(c.args) == 1 {
		list = l
	}
	if len(list) == 0 {
		return nil, c.fail("of an empty list")
	}
	best := list[0]
	for _, v := range list[1:] {
		o, err := c.m.compare(v, best)
		if err != nil {
			return nil, err
		}
		if o*sign > 0 {
			best = v
		}
	}
	return c.done(best, len(list))
}

// whole makes an int of a float that is one.
func whole(f float64) any {
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return int(f)
	}
	return f
}

func fnRound(c *call, f func(float64) float64) (any, error) { return c.done(whole(f(c.float(0))), 0) }

func fnRoundTo(c *call) (any, error) {
	digits := 0.0
	if len(c.args) == 2 {
		digits = c.float(1)
	}
	scale := math.Pow(10, min(max(math.Trunc(digits), -15), 15))
	return c.done(whole(math.Round(c.float(0)*scale)/scale), 0)
}

func fnInt(c *call) (any, error) {
	switch v := c.args[0].(type) {
	case string:
		v = strings.TrimSpace(v)
		if i, err := strconv.Atoi(v); err == nil {
			return i, nil
		}
		f, err := strconv.ParseFloat(v, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, c.fail("%q is not a number", v)
		}
		return whole(math.Trunc(f)), nil
	case bool:
		if v {
			return 1, nil
		}
		return 0, nil
	}
	return c.done(whole(math.Trunc(c.float(0))), 0)
}

func fnFloat(c *call) (any, error) {
	if s, ok := c.args[0].(string); ok {
		f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, c.fail("%q is not a number", s)
		}
		return f, nil
	}
	return c.done(c.float(0), 0)
}

func fnString(c *call) (any, error) {
	if s, ok := c.args[0].(string); ok {
		return s, nil
	}
	return fnJSON(c)
}

func fnJSON(c *call) (any, error) {
	raw, err := Encode(c.args[0])
	if err != nil {
		return nil, err
	}
	if len(raw) > maxText {
		return nil, c.fail("the text is longer than %d bytes", maxText)
	}
	return c.done(string(raw), len(raw)/16)
}

func fnFromJSON(c *call) (any, error) {
	s := c.text(0)
	if c.err != nil {
		return nil, c.err
	}
	v, err := Decode([]byte(s))
	if err != nil {
		return nil, c.fail("%v", err)
	}
	return c.done(v, len(s)/16)
}

func fnMatches(c *call) (any, error) {
	s, pattern := c.text(0), c.text(1)
	if c.err != nil {
		return nil, c.err
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, c.fail("%v", err)
	}
	return c.done(re.MatchString(s), len(s)/16+len(pattern))
}

func fnSplit(c *call) (any, error) {
	parts := strings.Split(c.text(0), c.text(1))
	out := make([]any, len(parts))
	for i, p := range parts {
		out[i] = p
	}
	return c.done(out, len(out))
}

func fnJoin(c *call) (any, error) {
	sep := ""
	if len(c.args) == 2 {
		sep = c.text(1)
	}
	var b strings.Builder
	for i, v := range c.list(0) {
		if i > 0 {
			b.WriteString(sep)
		}
		if s, ok := v.(string); ok {
			b.WriteString(s)
		} else {
			raw, err := Encode(v)
			if err != nil {
				return nil, err
			}
			b.Write(raw)
		}
		if b.Len() > maxText {
			return nil, c.fail("the text is longer than %d bytes", maxText)
		}
	}
	return c.done(b.String(), b.Len()/16)
}

func fnReplace(c *call) (any, error) {
	s, from, to := c.text(0), c.text(1), c.text(2)
	if n := strings.Count(s, from); len(s)+n*len(to) > maxText {
		return nil, c.fail("the text is longer than %d bytes", maxText)
	}
	return c.done(strings.ReplaceAll(s, from, to), len(s)/16)
}
