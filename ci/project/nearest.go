package project

import (
	"fmt"
	"strings"
)

// didYouMean is the hint for a mistyped word, or "" when nothing is near.
func didYouMean(input string, candidates []string) string {
	if near := nearest(input, candidates); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return ""
}

// nearest is the candidate with the fewest edits. Half of the word may not be
// wrong: then it is another word and no mistyped one.
func nearest(input string, candidates []string) string {
	best, fewest := "", min(3, len(input)/2+1)
	for _, candidate := range candidates {
		if edits := distance(strings.ToLower(input), strings.ToLower(candidate)); edits < fewest {
			best, fewest = candidate, edits
		}
	}
	return best
}

// distance counts insertions, deletions, replacements and swaps of
// neighbours from a to b.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return max(len(a), len(b))
	}
	previous, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := previous
		previous, row = row, make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := previous[j]
			if a[i] != b[j] {
				cost++
			}
			row[j+1] = min(cost, row[j]+1, previous[j+1]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
