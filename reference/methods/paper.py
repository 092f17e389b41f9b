"""Test accuracies reported by the paper, in % as (mean, standard deviation over the seeds 2022, 0 and 1).

Tables 1, 2, 3 and 4, and DKP of table 8; by data set and network, then method.
"""

ACCURACIES: dict[tuple[str, str], dict[str, tuple[float, float | None]]] = {
    ("nmnist", "fc"): {
        "bp": (98.15, 0.05),
        "dfa": (97.98, 0.04),
        "dkp": (97.81, None),
        "zo": (72.90, 1.14),
        "opzo": (98.27, 0.04),
    },
    ("mnist", "fc"): {
        "bp": (98.38, 0.02),
        "dfa": (98.05, 0.04),
        "dkp": (98.14, None),
        "zo": (86.53, 0.11),
        "opzo": (98.34, 0.10),
    },
    ("dvs-gesture", "conv5"): {
        "bp": (95.72, 0.33),
        "dfa": (91.67, 0.75),
        "dfa-ll": (91.43, 0.59),
        "dkp": (51.39, None),
        "zo": (23.73, 2.38),
        "opzo": (94.33, 0.16),
        "opzo-ll": (96.06, 0.33),
    },
    ("cifar10-dvs", "conv5"): {
        "bp": (75.43, 0.39),
        "dfa": (60.60, 0.67),
        "dfa-ll": (61.77, 0.62),
        "dkp": (39.40, None),
        "zo": (31.67, 0.24),
        "opzo": (72.77, 0.82),
        "opzo-ll": (77.47, 0.12),
    },
    ("cifar10", "conv5"): {
        "bp": (89.99, 0.06),
        "dfa": (79.90, 0.15),
        "dfa-ll": (82.38, 0.22),
        "dkp": (81.12, None),
        "zo": (49.04, 0.63),
        "opzo": (85.74, 0.15),
        "opzo rademacher": (85.69, 0.17),
        "opzo before": (84.37, 0.13),
        "opzo rademacher before": (84.03, 0.23),
        "opzo-ll": (89.42, 0.16),
    },
    ("cifar100", "conv5"): {
        "bp": (64.82, 0.09),
        "dfa": (49.50, 0.13),
        "dfa-ll": (54.76, 0.21),
        "dkp": (53.35, None),
        "zo": (22.26, 0.51),
        "opzo": (60.93, 0.16),
        "opzo-ll": (64.77, 0.16),
    },
    ("dvs-gesture", "conv9"): {
        "bp": (94.10, 1.02),
        "dfa-ll": (93.40, 0.49),
        "dfa-ll-igl": (93.29, 0.33),
        "opzo-ll": (95.83, 0.85),
        "opzo-ll-igl": (96.88, 0.28),
    },
    ("cifar100", "conv9"): {
        "bp": (65.96, 0.52),
        "dfa-ll": (52.94, 0.20),
        "dfa-ll-igl": (54.17, 0.54),
        "opzo-ll": (65.87, 0.13),
        "opzo-ll-igl": (66.13, 0.15),
    },
    ("imagenet", "resnet34"): {
        "bp before": (63.91, None),
        "dfa before": (61.20, None),
        "zo before": (52.42, None),
        "opzo before": (63.39, None),
    },
}
"""ImageNet: fine-tuned under noise of amplitude 0.1."""
