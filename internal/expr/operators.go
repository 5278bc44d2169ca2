package expr

import (
	"fmt"
	"math"
	"strings"
)

func truth(m *machine, n node, op string) (bool, error) {
	v, err := n.eval(m)
	if err != nil {
		return false, err
	}
	b, ok := v.(bool)
	if !ok {
		return false, m.e.fail(op+" wants true or false, not "+KindOf(v), "compare it with something")
	}
	return b, m.spend(1)
}

// equal compares values; 1 and 1.0 are equal.
func (m *machine) equal(a, b any) (bool, error) {
	if err := m.spend(1); err != nil {
		return false, err
	}
	x, okX := asFloat(a)
	y, okY := asFloat(b)
	if okX || okY {
		return okX && okY && x == y, nil
	}
	switch a := a.(type) {
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false, nil
		}
		for i := range a {
			if same, err := m.equal(a[i], b[i]); !same || err != nil {
				return false, err
			}
		}
		return true, nil
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false, nil
		}
		for k := range a {
			other, ok := b[k]
			if !ok {
				return false, nil
			}
			if same, err := m.equal(a[k], other); !same || err != nil {
				return false, err
			}
		}
		return true, nil
	}
	switch b.(type) {
	case []any, map[string]any:
		return false, nil
	}
	return a == b, nil
}

func asFloat(v any) (float64, bool) {
	switch v := v.(type) {
	case int:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

func (m *machine) ordered(op string, a, b any) (any, error) {
	c, err := m.compare(a, b)
	if err != nil {
		return nil, err
	}
	switch op {
	case "<":
		return c < 0, nil
	case "<=":
		return c <= 0, nil
	case ">":
		return c > 0, nil
	}
	return c >= 0, nil
}

// compare orders two numbers or two texts.
func (m *machine) compare(a, b any) (int, error) {
	x, okX := asFloat(a)
	y, okY := asFloat(b)
	s, isText := a.(string)
	t, alsoText := b.(string)
	switch {
	case okX && okY:
		switch {
		case x < y:
			return -1, nil
		case x > y:
			return 1, nil
		}
		return 0, nil
	case isText && alsoText:
		return strings.Compare(s, t), nil
	}
	return 0, m.e.fail(fmt.Sprintf("%s and %s cannot be compared", KindOf(a), KindOf(b)), "convert one with float() or string()")
}

func (m *machine) arithmetic(op string, a, b any) (any, error) {
	if s, ok := a.(string); ok && op == "+" {
		if t, ok := b.(string); ok {
			if len(s)+len(t) > maxText {
				return nil, m.e.fail(fmt.Sprintf("the text is longer than %d bytes", maxText), "")
			}
			return s + t, m.spend((len(s) + len(t)) / 64)
		}
	}
	i, okI := a.(int)
	j, okJ := b.(int)
	x, okX := asFloat(a)
	y, okY := asFloat(b)
	if !okX || !okY {
		return nil, m.e.fail(fmt.Sprintf("%s %s %s is not possible", KindOf(a), op, KindOf(b)), "convert with float() or string(), or put texts side by side: \"${a}${b}\"")
	}
	if (op == "/" || op == "%") && y == 0 {
		return nil, m.e.fail("division by zero", "")
	}
	if op == "%" {
		if !okI || !okJ {
			return nil, m.e.fail("% wants whole numbers", "")
		}
		return i % j, nil
	}
	f := 0.0
	switch op {
	case "+":
		f = x + y
	case "-":
		f = x - y
	case "*":
		f = x * y
	case "/":
		f = x / y
	}
	if okI && okJ && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return int(f), nil
	}
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return nil, m.e.fail("the number is too large", "")
	}
	return f, nil
}

func (m *machine) contains(in, what any) (bool, error) {
	switch in := in.(type) {
	case []any:
		for _, v := range in {
			if same, err := m.equal(v, what); same || err != nil {
				return same, err
			}
		}
		return false, nil
	case map[string]any:
		_, ok := in[fmt.Sprint(what)]
		return ok, nil
	case string:
		s, ok := what.(string)
		if ok {
			return strings.Contains(in, s), m.spend(len(in) / 64)
		}
	}
	return false, m.e.fail(fmt.Sprintf("%s cannot hold %s", KindOf(in), KindOf(what)), "")
}
