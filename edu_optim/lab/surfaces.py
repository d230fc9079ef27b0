"""The surfaces that experiments offer, by their names."""

from .. import problems

RAVINE = problems.quadratic(condition=25)
SURFACES = {
    problem.name: problem
    for problem in (
        problems.himmelblau,
        problems.rosenbrock,
        RAVINE,
        problems.beale,
        problems.booth,
        problems.six_hump_camel,
        problems.saddle,
        problems.rastrigin,
        problems.plateau,
        problems.noisy_quadratic(),
        problems.sparse_features(),
    )
}


EXACT = {name: problem for name, problem in SURFACES.items() if not problem.noisy}
