"""What pyproject.toml can't say: the compiled inner loops."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "semblance.kernels",
            ["core/semblance/kernels.c"],
            # No product is fused into a sum but where the code says so: one result everywhere.
            extra_compile_args=[
                "-O3",
                "-ffp-contract=off",
                "-fno-math-errno",
                "-fno-trapping-math",
                # Threaded, a pair of clamps becomes masks where two instructions do.
                "-fno-thread-jumps",
            ],
            py_limited_api=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
