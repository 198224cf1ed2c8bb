# The GIL given up and taken back by hand: between the two, C numbers and memory alone may be touched.
# The plain Python twin is in plain.py.
cdef extern from *:
    """
    static inline void *h2o_release_gil(void) { return PyEval_SaveThread(); }
    static inline void h2o_take_gil(void *state) { PyEval_RestoreThread((PyThreadState *)state); }
    """
    void *release "h2o_release_gil"() noexcept
    void take "h2o_take_gil"(void *state) noexcept
