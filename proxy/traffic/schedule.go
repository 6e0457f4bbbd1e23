package traffic

// rounds is how many requests a schedule is for: weights are percent.
const rounds = 100

// schedule says which of the weighted upstreams each of a hundred requests in a row goes to. The shares are exact, and each
// upstream's requests are spread evenly: of 90 and 10, every tenth goes to the second (smooth weighted round robin).
func schedule(weights []int) []uint8 {
	order := make([]uint8, 0, rounds)
	credit := make([]int, len(weights))
	for range rounds {
		best := 0
		for i, weight := range weights {
			if credit[i] += weight; credit[i] > credit[best] {
				best = i
			}
		}
		credit[best] -= rounds
		order = append(order, uint8(best))
	}
	return order
}
