package mutants

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

var (
	luaCondition  = regexp.MustCompile(`\b(?:if|while)\b(.*?)\b(?:then|do)\b`)
	luaComparison = regexp.MustCompile(`<=|>=|<|>`)
)

// mutateLua makes the mutation of m in a Lua script: in the condition of the if
// or while on its line.
func mutateLua(m Mark, text string) (string, error) {
	lines := strings.Split(text, "\n")
	line := &lines[m.Line-1]
	at := luaCondition.FindStringSubmatchIndex(*line)
	if at == nil {
		return "", errors.New("no condition starts on this line")
	}
	from, to := at[2], at[3]
	switch m.Word {
	case "true":
		*line = (*line)[:from] + " true or (" + (*line)[from:to] + ") " + (*line)[to:]
	case "false":
		*line = (*line)[:from] + " false and (" + (*line)[from:to] + ") " + (*line)[to:]
	case "boundary":
		n, err := ordinal(m.Args)
		if err != nil {
			return "", err
		}
		ops := luaComparison.FindAllStringIndex((*line)[from:to], -1)
		if n > len(ops) {
			return "", fmt.Errorf("there are %d comparisons with a bound, not %d", len(ops), n)
		}
		start, end := from+ops[n-1][0], from+ops[n-1][1]
		*line = (*line)[:start] + otherBoundary((*line)[start:end]) + (*line)[end:]
	default:
		return "", fmt.Errorf("mutation %q is not for Lua", m.Word)
	}
	return strings.Join(lines, "\n"), nil
}
